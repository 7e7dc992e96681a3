//! `capstan lrp events`: what happens to LRPs, as it happens.

use capstan_client::{
    EventStream, Notice,
    receptor::{
        self, ActualLrp, ActualLrpChange, ActualLrpEvent, DesiredLrp, DesiredLrpChange, DesiredLrpEvent,
    },
};
use serde::de::DeserializeOwned;
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

/// What an event tells.
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
enum Told {
    Desired(Box<DesiredLrpEvent>),
    DesiredChange(Box<DesiredLrpChange>),
    Actual(Box<ActualLrpEvent>),
    ActualChange(Box<ActualLrpChange>),
    /// Of a kind that a later version has.
    Other,
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
        let told = Told::by(&notice);
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
    /// What a notice tells, going by its name.
    fn by(notice: &Notice) -> Self {
        fn read<T: DeserializeOwned>(notice: &Notice, told: impl Fn(T) -> Told) -> Told {
            serde_json::from_str(&notice.data).map_or(Told::Other, told)
        }
        match &*notice.name {
            receptor::DESIRED_LRP_CREATED | receptor::DESIRED_LRP_REMOVED => read(notice, Self::Desired),
            receptor::DESIRED_LRP_CHANGED => read(notice, Self::DesiredChange),
            receptor::ACTUAL_LRP_CREATED | receptor::ACTUAL_LRP_REMOVED => read(notice, Self::Actual),
            receptor::ACTUAL_LRP_CHANGED => read(notice, Self::ActualChange),
            _ => Self::Other,
        }
    }

    fn guid(&self) -> Option<&str> {
        match self {
            Self::Desired(event) => Some(&event.desired_lrp.process_guid),
            Self::DesiredChange(event) => Some(&event.desired_lrp_after.process_guid),
            Self::Actual(event) => Some(&event.actual_lrp.process_guid),
            Self::ActualChange(event) => Some(&event.actual_lrp_after.process_guid),
            Self::Other => None,
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Desired(event) => {
                format!("{} × {}", event.desired_lrp.process_guid, event.desired_lrp.instances)
            }
            Self::DesiredChange(event) => changed_desire(&event.desired_lrp_before, &event.desired_lrp_after),
            Self::Actual(event) => format!("{} {}", subject(&event.actual_lrp), state(&event.actual_lrp)),
            Self::ActualChange(event) => {
                let (before, after) = (&event.actual_lrp_before, &event.actual_lrp_after);
                format!("{} {} → {}", subject(after), name_of(before.state), state(after))
            }
            Self::Other => String::new(),
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
