//! `capstan variable rm NAME`.

use super::Condition;
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
};

/// Which variable to delete.
#[derive(Debug, clap::Args)]
pub struct Rm {
    /// The variable's name
    name: String,
    #[command(flatten)]
    condition: Condition,
}

pub(super) async fn run(rm: Rm, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let index = options.client()?.delete_variable(&rm.name, rm.condition.into()).await?;
    match options.output {
        Output::Json => console.json(&serde_json::json!({ "name": rm.name, "index": index }))?,
        Output::Table => console.line(format!("deleted {}", rm.name))?,
    }
    Ok(())
}
