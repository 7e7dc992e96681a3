//! `capstan task cancel GUID` and `capstan task rm GUID`.

use serde_json::json;

use super::about_task;
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
};

/// Which task to end.
#[derive(Debug, clap::Args)]
pub struct Cancel {
    /// The task
    guid: String,
}

/// Which task to forget.
#[derive(Debug, clap::Args)]
pub struct Rm {
    /// The task
    guid: String,
}

pub(super) async fn cancel(
    cancel: &Cancel,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let guid = &cancel.guid;
    options.client()?.cancel_task(guid).await.map_err(|error| {
        let has_ended = error.status() == Some(409);
        let failure = about_task(error);
        if has_ended {
            failure.suggesting(format!("capstan task show {guid} says how it ended"))
        } else {
            failure
        }
    })?;
    match options.output {
        Output::Json => console.json(&json!({ "task_guid": guid }))?,
        Output::Table => console.line(format!("{guid} is cancelled"))?,
    }
    Ok(())
}

pub(super) async fn rm(rm: &Rm, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let guid = &rm.guid;
    options.client()?.delete_task(guid).await.map_err(|error| {
        let lives = error.status() == Some(409);
        let failure = about_task(error);
        if lives {
            failure.suggesting(format!("capstan task cancel {guid}, or wait for its end"))
        } else {
            failure
        }
    })?;
    match options.output {
        Output::Json => console.json(&json!({ "task_guid": guid }))?,
        Output::Table => console.line(format!("removed {guid}"))?,
    }
    Ok(())
}
