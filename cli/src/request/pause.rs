//! `capstan request pause ID` and `resume ID`.

use super::about_request;
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
};

/// Which request.
#[derive(Debug, clap::Args)]
pub struct Pause {
    /// The request's id
    id: String,
}

pub(super) async fn run(
    Pause { id }: Pause,
    paused: bool,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let client = options.client()?;
    let changed = if paused { client.pause_request(&id).await } else { client.resume_request(&id).await };
    let request = changed.map_err(about_request)?;
    if options.output == Output::Json {
        return Ok(console.json(&request)?);
    }
    if paused {
        console.line(format!("paused {id}"))?;
        console.note(&format!("next: capstan request resume {id}"))?;
    } else {
        console.line(format!("resumed {id}"))?;
    }
    Ok(())
}
