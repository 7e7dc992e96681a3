//! `capstan lrp desire FILE`.

use std::path::PathBuf;

use capstan_client::receptor::DesiredLrpCreate;

use super::wait::{self, Goal, Wait};
use crate::{
    console::Console,
    failure::Failure,
    manifest,
    options::{CallOptions, Output},
};

/// What to desire.
#[derive(Debug, clap::Args)]
pub struct DesireArgs {
    /// The LRP in JSON or YAML, in the shape of Diego's API; `-` reads it from standard input
    file: PathBuf,
    #[command(flatten)]
    wait: Wait,
}

pub(super) async fn run(
    args: &DesireArgs,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let create: DesiredLrpCreate = manifest::read(&args.file, manifest::LRP, console)?;
    let (client, guid) = (options.client()?, &create.process_guid);
    let not_enforced = client.desire_lrp(&create).await.map_err(|error| {
        let exists = error.status() == Some(409);
        let failure = Failure::from(error);
        let next = "capstan lrp update changes instances, routes and annotation; for anything else desire it under another guid";
        if exists { failure.suggesting(next) } else { failure }
    })?;
    if !not_enforced.is_empty() {
        console.note(&format!("kept, but not enforced by the cells: {}", not_enforced.join(", ")))?;
    }
    settled(guid, "desired", args.wait, options, console).await
}

/// Waits, unless that is not wanted, until an LRP runs that was just changed, and tells how it is then.
pub(super) async fn settled(
    guid: &str,
    done: &str,
    wait: Wait,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let client = options.client()?;
    let reached = if wait.no_wait {
        None
    } else {
        Some(wait::until(Goal::Running, &client, guid, wait, console).await?)
    };
    match (options.output, reached) {
        (Output::Json, _) => {
            let (desired, actual) = (client.desired_lrp(guid).await?, client.instances_of(guid).await?);
            console.json(&serde_json::json!({ "desired": desired, "actual": actual }))?;
        }
        (Output::Table, Some(rollout)) => console.line(format!("{guid}: {rollout}"))?,
        (Output::Table, None) => {
            console.line(format!("{done} {guid}"))?;
            console.note(&format!("next: capstan lrp show {guid}"))?;
        }
    }
    Ok(())
}
