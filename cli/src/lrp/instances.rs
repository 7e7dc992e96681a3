//! The instances of an LRP as a table.

use capstan_client::{
    receptor::{ActualLrp, ActualLrpState},
    spin_cycle::UtcTime,
};

use crate::{
    console::Shade,
    text::{
        table::{Cell, Table},
        time::ago,
    },
};

/// One line for each instance.
pub(super) fn table(instances: &[ActualLrp], now: UtcTime) -> Table {
    let mut table = Table::new(&["INDEX", "STATE", "CELL", "ADDRESS", "PORTS", "CRASHES", "SINCE", "WHY"]);
    for instance in instances {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let why = if instance.placement_error.is_empty() {
            &instance.crash_reason
        } else {
            &instance.placement_error
        };
        table.row([
            Cell::number(instance.index),
            Cell::text(state(instance)).shaded(shade_of(instance.state)),
            Cell::maybe(given(&instance.cell_id)),
            Cell::maybe(given(&instance.address)),
            Cell::maybe(given(&ports(instance))),
            Cell::number(instance.crash_count),
            Cell::maybe(moment(instance.since).map(|since| ago(since, now))),
            Cell::text(why),
        ]);
    }
    table
}

/// The word for a state.
pub(super) fn name_of(state: ActualLrpState) -> &'static str {
    match state {
        ActualLrpState::Unclaimed => "UNCLAIMED",
        ActualLrpState::Claimed => "CLAIMED",
        ActualLrpState::Running => "RUNNING",
        ActualLrpState::Crashed => "CRASHED",
        ActualLrpState::Invalid => "INVALID",
    }
}

/// What a state means to its reader.
pub(super) fn shade_of(state: ActualLrpState) -> Shade {
    match state {
        ActualLrpState::Running => Shade::Good,
        ActualLrpState::Claimed => Shade::Busy,
        ActualLrpState::Crashed => Shade::Bad,
        ActualLrpState::Unclaimed | ActualLrpState::Invalid => Shade::Plain,
    }
}

/// A moment of the LRP API.
pub(super) fn moment(unix_nanos: i64) -> Option<UtcTime> {
    u64::try_from(unix_nanos).ok().map(UtcTime::from_unix_nanos)
}

/// `8080→61001`, one for each port.
pub(super) fn ports(instance: &ActualLrp) -> String {
    let ports = instance.ports.iter().map(|port| format!("{}→{}", port.container_port, port.host_port));
    ports.collect::<Vec<_>>().join(" ")
}

fn state(instance: &ActualLrp) -> String {
    let name = name_of(instance.state);
    if instance.evacuating { format!("{name}, evacuating") } else { name.to_owned() }
}
