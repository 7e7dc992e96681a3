//! `capstan task create FILE`.

use std::{path::PathBuf, time::Duration};

use capstan_client::{
    Client,
    receptor::{Task, TaskCreate, TaskState},
};
use serde_json::json;

use super::{about_task, state_of};
use crate::{
    console::Console,
    failure::{Exit, Failure},
    manifest,
    options::{CallOptions, Output},
    text::escape,
};

/// What to make.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The task in JSON or YAML, in the shape of Diego's API; `-` reads it from standard input
    file: PathBuf,
    /// Wait until it has ended; exit 0 only if it has not failed
    #[arg(short, long)]
    wait: bool,
    /// How long to wait
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = humantime::parse_duration)]
    wait_max: Duration,
}

/// Shortest and longest pause between two looks.
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(50);
const LOOK_AGAIN_MAX: Duration = Duration::from_secs(1);

pub(super) async fn run(
    create: &Create,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let draft: TaskCreate = manifest::read(&create.file, manifest::TASK, console)?;
    let (client, guid) = (options.client()?, &draft.task_guid);
    client.create_task(&draft).await.map_err(|error| {
        let exists = error.status() == Some(409);
        let failure = Failure::from(error);
        if exists { failure.suggesting(format!("capstan task show {guid}")) } else { failure }
    })?;
    if create.wait {
        let ended = tokio::time::timeout(create.wait_max, until_ended(&client, guid)).await;
        let task = ended.map_err(|_| {
            let message = format!("{guid} has not ended after {:?}; it goes on", create.wait_max);
            Failure::new(Exit::Unknown, message, format!("capstan task show {guid}"))
        })??;
        return conclude(&task, options, console);
    }
    match options.output {
        Output::Json => console.json(&json!({ "task_guid": guid }))?,
        Output::Table => {
            console.line(format!("made task {guid}"))?;
            console.note(&format!("next: capstan task show {guid}"))?;
        }
    }
    Ok(())
}

/// Looks until the task has ended. A cluster that cannot answer for a while is waited for.
async fn until_ended(client: &Client, guid: &str) -> Result<Task, Failure> {
    let mut pause = LOOK_AGAIN_MIN;
    loop {
        match client.task(guid).await.map_err(about_task) {
            Ok(task) if matches!(task.state, TaskState::Completed | TaskState::Resolving) => return Ok(task),
            Ok(_) => {}
            Err(failure) if failure.is_unavailable() => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_AGAIN_MAX);
    }
}

fn conclude(task: &Task, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    match options.output {
        Output::Json => console.json(task)?,
        Output::Table => {
            let (name, shade) = state_of(task);
            let (guid, state) = (escape::line(&task.task_guid), console.painted(shade, name));
            let told = if task.failed { &task.failure_reason } else { &task.result };
            let told = if told.is_empty() { String::new() } else { format!(": {}", escape::line(told)) };
            console.line(format!("{guid} {state}{told}"))?;
        }
    }
    if task.failed { Err(Failure::Shown(Exit::Refused)) } else { Ok(()) }
}
