//! `capstan lrp scale GUID N` and `capstan lrp update GUID`.

use std::path::{Path, PathBuf};

use capstan_client::receptor::{DesiredLrpUpdate, Routes};
use serde_json::value::RawValue;

use super::{about_lrp, desire::settled, wait::Wait};
use crate::{console::Console, failure::Failure, manifest, options::CallOptions};

/// How many instances an LRP is to have.
#[derive(Debug, clap::Args)]
pub struct Scale {
    /// The LRP
    guid: String,
    /// How many instances are to run
    instances: u32,
    #[command(flatten)]
    wait: Wait,
}

/// What to change of an LRP; what is not named stays as it is.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
pub struct UpdateArgs {
    /// The LRP
    guid: String,
    /// The change in JSON or YAML, in the shape of Diego's API; `-` reads it from standard input
    #[arg(group = "change", conflicts_with_all = ["instances", "routes", "no_routes", "annotation"])]
    file: Option<PathBuf>,
    /// How many instances are to run
    #[arg(long, group = "change", value_name = "N")]
    instances: Option<u32>,
    /// A route, whose value is JSON; all that are given take the place of all there are
    #[arg(long = "route", group = "change", value_name = "NAME=JSON", value_parser = parse_route)]
    routes: Vec<(String, Box<RawValue>)>,
    /// Take all routes away
    #[arg(long, group = "change", conflicts_with = "routes")]
    no_routes: bool,
    /// A text of your own
    #[arg(long, group = "change", value_name = "TEXT")]
    annotation: Option<String>,
    #[command(flatten)]
    wait: Wait,
}

/// The members of a change.
const MEMBERS: &[&str] = &["annotation", "instances", "routes"];

pub(super) async fn scale(
    scale: &Scale,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let update = DesiredLrpUpdate { instances: Some(scale.instances.into()), ..DesiredLrpUpdate::default() };
    options.client()?.update_lrp(&scale.guid, &update).await.map_err(about_lrp)?;
    settled(&scale.guid, "scaled", scale.wait, options, console).await
}

pub(super) async fn update(
    args: &UpdateArgs,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let update = match &args.file {
        Some(file) => read(file, console)?,
        None => DesiredLrpUpdate {
            instances: args.instances.map(Into::into),
            routes: (args.no_routes || !args.routes.is_empty())
                .then(|| args.routes.iter().cloned().collect::<Routes>()),
            annotation: args.annotation.clone(),
        },
    };
    options.client()?.update_lrp(&args.guid, &update).await.map_err(about_lrp)?;
    // Its instances heed neither routes nor annotation: there is nothing to wait for.
    let no_wait = args.wait.no_wait || update.instances.is_none();
    settled(&args.guid, "updated", Wait { no_wait, ..args.wait }, options, console).await
}

fn read(file: &Path, console: &mut Console) -> Result<DesiredLrpUpdate, Failure> {
    manifest::read(file, MEMBERS, console)
}

fn parse_route(text: &str) -> Result<(String, Box<RawValue>), String> {
    let (name, value) = text.split_once('=').ok_or("a route is NAME=JSON")?;
    let value = RawValue::from_string(value.to_owned());
    Ok((name.to_owned(), value.map_err(|error| format!("the value of {name} is not JSON: {error}"))?))
}
