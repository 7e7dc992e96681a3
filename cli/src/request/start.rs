//! `capstan request start NAME [k=v ...]`.

use capstan_client::spin_cycle::CreateRequest;
use serde_json::{Map, Value};

use super::{prompt, suggest, wait};
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
};

/// What to start.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// The request's name
    name: String,
    /// Its args: NAME=TEXT, or NAME:=JSON for lists and other values that are no text; on a terminal, required ones that are
    /// missing are asked for
    #[arg(value_name = "ARG", value_parser = parse_arg)]
    args: Vec<(String, Value)>,
    /// Wait until it has ended; exit 0 only if it is complete
    #[arg(short, long)]
    wait: bool,
}

pub(super) async fn run(start: Start, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let client = options.client()?;
    let mut args: Map<String, Value> = start.args.into_iter().collect();
    let offered = client.request_list().await?;
    if let Some(entry) = offered.iter().find(|entry| entry.name == start.name) {
        prompt::complete(entry, &mut args, console)?;
    }
    suggest::check(&start.name, &args, &offered)?;
    let create = CreateRequest { kind: start.name, args: (!args.is_empty()).then_some(args) };
    let request = client.create_request(&create).await?;
    if start.wait {
        console.note(&format!("started {} request {}", request.kind, request.id))?;
        return wait::until_ended(&client, &request.id, options, console).await;
    }
    match options.output {
        Output::Json => console.json(&request)?,
        Output::Table => {
            console.line(format!("started {} request {}", request.kind, request.id))?;
            console.note(&format!("next: capstan request wait {}", request.id))?;
        }
    }
    Ok(())
}

fn parse_arg(text: &str) -> Result<(String, Value), String> {
    let Some((name, value)) = text.split_once('=') else {
        return Err("an arg is NAME=TEXT, or NAME:=JSON".to_owned());
    };
    let (name, value) = match name.strip_suffix(':') {
        Some(name) => {
            let value =
                serde_json::from_str(value).map_err(|error| format!("{value:?} is not JSON: {error}"))?;
            (name, value)
        }
        None => (name, Value::from(value)),
    };
    if name.is_empty() {
        return Err("an arg needs a name before the =".to_owned());
    }
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn args_are_texts_unless_marked_as_json() {
        let cases = [
            ("host=db7", "host", json!("db7")),
            ("ms=5", "ms", json!("5")),
            ("note=", "note", json!("")),
            ("filter=a=b", "filter", json!("a=b")),
            (r#"hosts:=["h1","h2"]"#, "hosts", json!(["h1", "h2"])),
        ];
        for (text, name, value) in cases {
            assert_eq!(parse_arg(text), Ok((name.to_owned(), value)), "{text}");
        }
        for wrong in ["host", "=db7", ":=1", "hosts:=[h1]"] {
            assert!(parse_arg(wrong).is_err(), "{wrong}");
        }
    }
}
