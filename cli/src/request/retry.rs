//! `capstan request retry ID [--arg k=v]... [--preview]`.

use serde_json::{Map, Value};

use super::{about_request, plan, wait};
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
    text::arg,
};

/// What to go on with.
#[derive(Debug, clap::Args)]
pub struct Retry {
    /// The id of the finished request
    id: String,
    /// An arg that is to be another than before: NAME=TEXT, or NAME:=JSON. The specs as they are now are used then
    #[arg(long = "arg", value_name = "ARG", value_parser = arg::parse)]
    args: Vec<(String, Value)>,
    /// Only show what would be kept, and what would run
    #[arg(long, conflicts_with = "wait")]
    preview: bool,
    /// Wait until the new request has ended; exit 0 only if it is complete
    #[arg(short, long)]
    wait: bool,
}

pub(super) async fn run(retry: Retry, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let client = options.client()?;
    let args: Map<String, Value> = retry.args.into_iter().collect();
    if retry.preview {
        let plan = client.preview_retry(&retry.id, args).await.map_err(about_request)?;
        return plan::print(&plan, options, console);
    }
    let request = client.retry_request(&retry.id, args).await.map_err(about_request)?;
    let kept = request.jobs.iter().filter(|job| job.kept).count();
    let told =
        format!("{} goes on with {}: {kept} of {} jobs kept", request.id, retry.id, request.total_jobs);
    if retry.wait {
        console.note(&told)?;
        return wait::until_ended(&client, &request.id, options, console).await;
    }
    match options.output {
        Output::Json => console.json(&request)?,
        Output::Table => {
            console.line(told)?;
            console.note(&format!("next: capstan request wait {}", request.id))?;
        }
    }
    Ok(())
}
