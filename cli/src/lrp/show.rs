//! `capstan lrp show GUID`.

use capstan_client::receptor::{DesiredLrp, Rollout};
use serde_json::json;

use super::{about_lrp, instances};
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        escape,
        facts::{facts, or_dash},
    },
};

/// Which LRP to show.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The LRP
    guid: String,
}

pub(super) async fn run(show: &Show, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let client = options.client()?;
    let desired = client.desired_lrp(&show.guid).await.map_err(about_lrp)?;
    let actual = client.instances_of(&show.guid).await?;
    if options.output == Output::Json {
        return Ok(console.json(&json!({ "desired": desired, "actual": actual }))?);
    }
    console.line(described(&desired, Rollout::of(desired.instances, &actual)))?;
    if !actual.is_empty() {
        console.line(format!("\n{}", instances::table(&actual, (console.now)()).draw(console)))?;
    }
    Ok(())
}

fn described(desired: &DesiredLrp, rollout: Rollout) -> String {
    let list = |items: Vec<String>| or_dash(&items.join(", "));
    let size = |mib: u32| if mib == 0 { "unlimited".to_owned() } else { format!("{mib} MiB") };
    let monitored = match (&desired.monitor, desired.start_timeout) {
        (None, _) => "no".to_owned(),
        (Some(_), 0) => "yes, and may take for ever to become healthy".to_owned(),
        (Some(_), secs) => format!("yes, and has {secs} s to become healthy"),
    };
    let tag = &desired.modification_tag;
    facts([
        ("guid", escape::line(&desired.process_guid)),
        ("domain", escape::line(&desired.domain)),
        ("instances", rollout.to_string()),
        ("rootfs", escape::line(&desired.rootfs)),
        ("memory", size(desired.memory_mb)),
        ("disk", size(desired.disk_mb)),
        ("ports", list(desired.ports.iter().map(ToString::to_string).collect())),
        ("monitored", monitored),
        (
            "routes",
            list(desired.routes.iter().map(|(name, value)| format!("{name}={}", value.get())).collect()),
        ),
        ("annotation", or_dash(&desired.annotation)),
        ("version", format!("{}/{}", escape::line(&tag.epoch), tag.index)),
    ])
}
