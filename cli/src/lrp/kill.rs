//! `capstan lrp kill GUID INDEX`.

use serde_json::json;

use super::about_lrp;
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
};

/// Which instance to stop.
#[derive(Debug, clap::Args)]
pub struct Kill {
    /// The LRP
    guid: String,
    /// Which of its instances, from 0
    index: u32,
}

pub(super) async fn run(kill: &Kill, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let (guid, index) = (&kill.guid, kill.index);
    options.client()?.kill_instance(guid, index).await.map_err(|error| {
        let missing = error.is_not_found();
        let failure = about_lrp(error);
        if missing {
            failure.suggesting(format!("capstan lrp show {guid} shows its instances"))
        } else {
            failure
        }
    })?;
    match options.output {
        Output::Json => console.json(&json!({ "process_guid": guid, "index": index }))?,
        Output::Table => console.line(format!("{guid}/{index} is being stopped; another takes its place"))?,
    }
    Ok(())
}
