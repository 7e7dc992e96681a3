//! `capstan request start NAME [k=v ...]`.

use capstan_client::spin_cycle::CreateRequest;
use serde_json::{Map, Value};

use super::{plan, prompt, suggest, wait};
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
    text::arg,
};

/// What to start.
#[derive(Debug, clap::Args)]
pub struct Start {
    /// The request's name
    name: String,
    /// Its args: NAME=TEXT, or NAME:=JSON for lists and other values that are no text; on a terminal, required ones that are
    /// missing are asked for
    #[arg(value_name = "ARG", value_parser = arg::parse)]
    args: Vec<(String, Value)>,
    /// Wait until it has ended; exit 0 only if it is complete
    #[arg(short, long)]
    wait: bool,
    /// Only show what it would be: its jobs are created as for a start, by plugins too, and nothing is stored
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
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
    if start.dry_run {
        let plan = client.dry_run(&create).await?;
        return plan::print(&plan, options, console);
    }
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
