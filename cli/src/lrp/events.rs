//! `capstan lrp events`: what happens to LRPs, as it happens.

use capstan_client::{
    EventStream, Notice,
    receptor::{ActualLrp, DesiredLrp},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::instances::{name_of, ports};
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
    text::escape,
};

/// Which events to show.
#[derive(Debug, clap::Args)]
pub struct Events {
    /// Only events of this LRP
    #[arg(long, value_name = "GUID")]
    guid: Option<String>,
    /// Begin behind the event with this id; else with what happens from now on
    #[arg(long, value_name = "ID")]
    after: Option<String>,
}

/// What an event is about; which members there are depends on its name.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    desired_lrp: Option<DesiredLrp>,
    desired_lrp_before: Option<DesiredLrp>,
    desired_lrp_after: Option<DesiredLrp>,
    actual_lrp: Option<ActualLrp>,
    actual_lrp_before: Option<ActualLrp>,
    actual_lrp_after: Option<ActualLrp>,
}

pub(super) async fn run(
    events: &Events,
    options: &CallOptions,
    console: &mut Console,
) -> Result<(), Failure> {
    let opened = options.client()?.lrp_events(events.after.as_deref()).await;
    let mut stream = opened.map_err(|error| {
        let trimmed = error.status() == Some(410);
        let failure = Failure::from(error);
        let next = "capstan lrp ls shows what is there now; then follow without --after";
        if trimmed { failure.suggesting(next) } else { failure }
    })?;
    let mut last = events.after.clone();
    loop {
        let notice = next(&mut stream, last.as_deref()).await?;
        if !notice.id.is_empty() {
            last = Some(notice.id.clone());
        }
        let told: Told = serde_json::from_str(&notice.data).unwrap_or_default();
        if events.guid.as_deref().is_some_and(|guid| told.guid() != Some(guid)) {
            continue;
        }
        match options.output {
            // One object a line, as there is no end.
            Output::Json => {
                let data: Value = serde_json::from_str(&notice.data).unwrap_or(Value::String(notice.data));
                console.line(json!({ "id": notice.id, "event": notice.name, "data": data }))?;
            }
            Output::Table => console.line(line(&notice, &told))?,
        }
        console.flush()?;
    }
}

async fn next(stream: &mut EventStream, last: Option<&str>) -> Result<Notice, Failure> {
    stream.next().await.map_err(|error| {
        let failure = Failure::from(error);
        match last {
            Some(last) => {
                failure.suggesting(format!("capstan lrp events --after {last}, once a node answers"))
            }
            None => failure,
        }
    })
}

fn line(notice: &Notice, told: &Told) -> String {
    let (id, name) = (escape::line(&notice.id), escape::line(&notice.name));
    escape::line(&format!("{id:<10} {name:<20} {}", told.in_words()))
}

impl Told {
    fn guid(&self) -> Option<&str> {
        let desired = self.desired_lrp.as_ref().or(self.desired_lrp_after.as_ref());
        let actual = self.actual_lrp.as_ref().or(self.actual_lrp_after.as_ref());
        desired.map(|lrp| &*lrp.process_guid).or(actual.map(|lrp| &*lrp.process_guid))
    }

    fn in_words(&self) -> String {
        match self {
            Self { desired_lrp: Some(lrp), .. } => format!("{} × {}", lrp.process_guid, lrp.instances),
            Self { desired_lrp_before: Some(before), desired_lrp_after: Some(after), .. } => {
                changed_desire(before, after)
            }
            Self { actual_lrp: Some(lrp), .. } => format!("{} {}", subject(lrp), state(lrp)),
            Self { actual_lrp_before: Some(before), actual_lrp_after: Some(after), .. } => {
                format!("{} {} → {}", subject(after), name_of(before.state), state(after))
            }
            // Of a kind that a later version has.
            _ => String::new(),
        }
    }
}

fn changed_desire(before: &DesiredLrp, after: &DesiredLrp) -> String {
    let routes = |lrp: &DesiredLrp| -> Vec<_> {
        lrp.routes.iter().map(|(name, value)| (name.clone(), value.get().to_owned())).collect()
    };
    let mut changes = Vec::new();
    if before.instances != after.instances {
        changes.push(format!("× {} → × {}", before.instances, after.instances));
    }
    if routes(before) != routes(after) {
        changes.push("other routes".to_owned());
    }
    if before.annotation != after.annotation {
        changes.push("another annotation".to_owned());
    }
    if changes.is_empty() {
        changes.push("the same as before".to_owned());
    }
    format!("{} {}", after.process_guid, changes.join(", "))
}

fn subject(lrp: &ActualLrp) -> String {
    let whose = if lrp.evacuating { " (evacuating)" } else { "" };
    format!("{}/{}{whose}", lrp.process_guid, lrp.index)
}

fn state(lrp: &ActualLrp) -> String {
    let mut text = name_of(lrp.state).to_owned();
    if !lrp.cell_id.is_empty() {
        text = format!("{text} on {}", lrp.cell_id);
    }
    if !lrp.ports.is_empty() {
        text = format!("{text} at {} {}", lrp.address, ports(lrp));
    }
    for why in [&lrp.placement_error, &lrp.crash_reason].into_iter().filter(|why| !why.is_empty()) {
        text = format!("{text}: {why}");
    }
    text
}
