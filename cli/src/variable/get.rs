//! `capstan variable get NAME`.

use serde_json::json;

use super::Freshness;
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
    text::escape,
};

/// Which variable to read.
#[derive(Debug, clap::Args)]
pub struct Get {
    /// The variable's name
    name: String,
    #[command(flatten)]
    freshness: Freshness,
}

pub(super) async fn run(get: Get, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let read = options.client()?.get_variable(&get.name, get.freshness.into()).await;
    let variable = read.map_err(|error| {
        let missing = error.is_not_found();
        let failure = Failure::from(error);
        if missing { failure.suggesting("capstan variable ls shows the names that exist") } else { failure }
    })?;
    let text = std::str::from_utf8(&variable.value);
    match (options.output, text) {
        (Output::Json, Ok(text)) => {
            console.json(&json!({ "name": get.name, "revision": variable.revision, "value": text }))?;
        }
        (Output::Json, Err(_)) => {
            // JSON has no bytes; a list of numbers is what every program can read.
            let bytes = &variable.value[..];
            console.json(&json!({ "name": get.name, "revision": variable.revision, "bytes": bytes }))?;
        }
        (Output::Table, _) if console.terminal.out => {
            console.line(escape::lines(&String::from_utf8_lossy(&variable.value)))?;
        }
        (Output::Table, _) => console.out.write_all(&variable.value)?,
    }
    Ok(())
}
