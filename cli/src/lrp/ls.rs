//! `capstan lrp ls`.

use std::collections::BTreeMap;

use capstan_client::receptor::{ActualLrp, DesiredLrp, Rollout};
use serde_json::json;

use crate::{
    console::{Console, Shade},
    failure::Failure,
    options::{CallOptions, Output},
    text::table::{Cell, Table},
};

/// Which LRPs to list.
#[derive(Debug, clap::Args)]
pub struct Ls {
    /// Only LRPs of this domain
    #[arg(long)]
    domain: Option<String>,
}

pub(super) async fn run(ls: &Ls, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let (client, domain) = (options.client()?, ls.domain.as_deref());
    let (desired, actual) = (client.desired_lrps(domain).await?, client.actual_lrps(domain).await?);
    match options.output {
        Output::Json => console.json(&json!({ "desired": desired, "actual": actual }))?,
        Output::Table if desired.is_empty() => {
            console.note(&console.painted_for_error(Shade::Dim, "nothing is desired"))?;
        }
        Output::Table => console.line(table(&desired, actual).draw(console))?,
    }
    Ok(())
}

fn table(desired: &[DesiredLrp], actual: Vec<ActualLrp>) -> Table {
    let mut of: BTreeMap<String, Vec<ActualLrp>> = BTreeMap::new();
    for instance in actual {
        of.entry(instance.process_guid.clone()).or_default().push(instance);
    }
    let mut table = Table::new(&["GUID", "DOMAIN", "RUNNING", "TROUBLE", "MEMORY", "ROOTFS"]);
    for lrp in desired {
        let instances = of.get(&lrp.process_guid).map_or(&[][..], Vec::as_slice);
        let rollout = Rollout::of(lrp.instances, instances);
        let shade = if rollout.is_done() { Shade::Good } else { Shade::Busy };
        table.row([
            Cell::text(&lrp.process_guid),
            Cell::text(&lrp.domain),
            Cell::text(format!("{} of {}", rollout.running, rollout.wanted)).shaded(shade),
            Cell::maybe(trouble(rollout)).shaded(Shade::Bad),
            Cell::number(if lrp.memory_mb == 0 { "-".to_owned() } else { format!("{} MiB", lrp.memory_mb) }),
            Cell::text(&lrp.rootfs),
        ]);
    }
    table
}

fn trouble(rollout: Rollout) -> Option<String> {
    let parts = [(rollout.crashed, "crashed"), (rollout.unplaced, "without a cell")];
    let told: Vec<String> = parts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    (!told.is_empty()).then(|| told.join(", "))
}
