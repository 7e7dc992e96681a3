//! `capstan cell show ID`.

use capstan_client::{
    cluster::{CellDetail, CellIsolation, HostedInstance, Unlimited},
    receptor::ActualLrpState,
    spin_cycle::UtcTime,
};

use super::{about_cell, shade_of, used};
use crate::{
    console::Console,
    failure::Failure,
    options::{CallOptions, Output},
    text::{
        escape,
        facts::{facts, or_dash},
        table::{Cell, Table},
        time::ago,
    },
};

/// Which cell to show.
#[derive(Debug, clap::Args)]
pub struct Show {
    /// The cell's id, such as cell-1
    id: String,
}

pub(super) async fn run(show: &Show, options: &CallOptions, console: &mut Console) -> Result<(), Failure> {
    let cell = options.client()?.cell(&show.id).await.map_err(about_cell)?;
    if options.output == Output::Json {
        return Ok(console.json(&cell)?);
    }
    console.line(described(&cell, console))?;
    if !cell.hosted.is_empty() {
        console.line(format!("\n{}", instances(&cell.hosted, (console.now)()).draw(console)))?;
    }
    Ok(())
}

fn described(cell: &CellDetail, console: &Console) -> String {
    let status = &cell.status;
    let [memory, disk, containers] = used(status);
    let provided = status.rootfs_providers.iter().map(|(scheme, names)| match &names[..] {
        [] if scheme == "preloaded" => "nothing preloaded".to_owned(),
        [] => format!("{scheme}:…"),
        names => names.iter().map(|name| format!("{scheme}:{name}")).collect::<Vec<_>>().join(", "),
    });
    facts([
        ("cell", escape::line(&status.cell_id)),
        ("node", status.node.to_string()),
        ("zone", or_dash(&status.zone)),
        ("state", console.painted(shade_of(status.state), status.state.name())),
        ("memory", memory),
        ("disk", disk),
        ("containers", containers),
        ("network", network(&status.isolation).to_owned()),
        ("not limited", unlimited(&status.isolation)),
        ("rootfs", or_dash(&provided.collect::<Vec<_>>().join(", "))),
        ("instances", status.instances.to_string()),
        ("tasks", or_dash(&cell.task_guids.join(", "))),
    ])
}

fn network(isolation: &CellIsolation) -> &'static str {
    if isolation.own_network { "one for each, with nothing but loopback" } else { "that of the machine" }
}

/// What is not, and why.
fn unlimited(isolation: &CellIsolation) -> String {
    let told = |unlimited: &Unlimited| format!("{}: {}", unlimited.limit, unlimited.reason);
    or_dash(&isolation.unlimited.iter().map(told).collect::<Vec<_>>().join("; "))
}

fn instances(hosted: &[HostedInstance], now: UtcTime) -> Table {
    let mut table = Table::new(&["GUID", "INDEX", "STATE", "SINCE", "WHY"]);
    for instance in hosted {
        let state = match instance.state {
            _ if instance.stopping => "is being stopped",
            _ if instance.evacuating => "goes on until another one runs",
            ActualLrpState::Claimed => "is being started",
            ActualLrpState::Running => "runs",
            ActualLrpState::Unclaimed | ActualLrpState::Crashed | ActualLrpState::Invalid => "unknown",
        };
        let since = u64::try_from(instance.since).ok().map(UtcTime::from_unix_nanos);
        table.row([
            Cell::text(&instance.process_guid),
            Cell::number(instance.index),
            Cell::text(state),
            Cell::maybe(since.map(|since| ago(since, now))),
            Cell::text(why(instance)),
        ]);
    }
    table
}

/// Why it is still here, if it should not be.
fn why(instance: &HostedInstance) -> String {
    match &*instance.replacement_error {
        "" => String::new(),
        error => format!("no other cell: {error}"),
    }
}
