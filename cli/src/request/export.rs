//! `capstan request export`: requests with their jobs, a JSON object on each line.

use std::io::Write;

use capstan_client::{CallError, ReadOptions, spin_cycle::RequestFilter};
use serde::Deserialize;

use super::filters::Filters;
use crate::{console::Console, failure::Failure, options::CallOptions};

/// What to export.
#[derive(Debug, clap::Args)]
pub struct Export {
    #[command(flatten)]
    filters: Filters,
    /// At most as many, the newest; 0 exports all
    #[arg(long, default_value_t = 0)]
    limit: u64,
    /// With what the jobs wrote
    #[arg(long)]
    with_logs: bool,
}

pub(super) async fn run(export: Export, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let filter = RequestFilter { limit: export.limit, ..export.filters.at((console.now)()) };
    let client = options.client()?;
    let mut lines = client.export_requests(&filter, export.with_logs, ReadOptions::default()).await?;
    let (mut last, mut count) = (None, 0_u64);
    loop {
        match lines.next().await {
            Ok(Some(line)) => {
                console.out.write_all(&line)?;
                console.out.write_all(b"\n")?;
                (last, count) = (Some(line), count + 1);
            }
            Ok(None) => break,
            Err(error) => return Err(broken(error, last.as_deref())),
        }
    }
    let what = if count == 1 { "request" } else { "requests" };
    Ok(console.note(&format!("{count} {what}"))?)
}

/// Says how to go on where the lines broke off.
fn broken(error: CallError, last: Option<&[u8]>) -> Failure {
    #[derive(Deserialize)]
    struct Place {
        cursor: String,
    }
    let failure = Failure::from(error);
    match last.and_then(|line| serde_json::from_slice::<Place>(line).ok()) {
        Some(Place { cursor }) => failure
            .suggesting(format!("what is written is whole; the same with --after {cursor} writes the rest")),
        None => failure,
    }
}
