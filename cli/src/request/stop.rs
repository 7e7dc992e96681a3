//! `capstan request stop ID`.

use capstan_client::{ReadOptions, spin_cycle::State};

use super::about_request;
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
};

/// Which request to stop.
#[derive(Debug, clap::Args)]
pub struct Stop {
    /// The request's id
    id: String,
}

pub(super) async fn run(stop: Stop, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let client = options.client()?;
    client.stop_request(&stop.id).await.map_err(about_request)?;
    let mut request = client.request(&stop.id, ReadOptions::default()).await.map_err(about_request)?;
    request.job_chain = None;
    if options.output == Output::Json {
        return Ok(console.json(&request)?);
    }
    console.line(match request.state {
        State::Stopped => format!("stopped {}", stop.id),
        state if state.is_final() => format!("{} had ended: {state}", stop.id),
        // A job may take up to 10 s to be killed, and the server answers after 3.
        _ => format!("stopping {}; capstan request wait {} tells when it has ended", stop.id, stop.id),
    })?;
    Ok(())
}
