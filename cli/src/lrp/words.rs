//! The explanation of an LRP in words.

use std::collections::BTreeMap;

use capstan_client::{
    cluster::{CellVerdict, ExplainedRecord, LrpExplanation, OneMore, Unlimited, Verdict},
    receptor::ActualLrpState,
    spin_cycle::UtcTime,
};

use super::instances::moment;
use crate::text::time::ago;

/// The use of one resource in full, in units of a score.
const FULL: u64 = 1 << 20;

/// What is wanted.
pub(super) fn desire(explanation: &LrpExplanation) -> String {
    let guid = &explanation.process_guid;
    let Some(desired) = &explanation.desired else {
        return format!("{guid} is not desired any more; what is left of it is being stopped");
    };
    let room = match (desired.memory_mb, desired.disk_mb) {
        (0, 0) => "a container".to_owned(),
        (memory, 0) => format!("a container and {memory} MiB of memory"),
        (0, disk) => format!("a container and {disk} MiB of disk"),
        (memory, disk) => format!("a container, {memory} MiB of memory and {disk} MiB of disk"),
    };
    let count = match desired.instances {
        1 => "1 instance".to_owned(),
        count => format!("{count} instances, each"),
    };
    format!("{guid} wants {count} with {room}, from {}", desired.rootfs)
}

/// Why one record is as it is.
pub(super) fn record(guid: &str, record: &ExplainedRecord, now: UtcTime) -> String {
    let index = record.index;
    let since = moment(record.since).map_or_else(|| "at an unknown time".to_owned(), |at| ago(at, now));
    let place = place(record);
    let mut text = match record.state {
        ActualLrpState::Running if record.evacuating => {
            format!("index {index} still runs {place}, until another one runs in its stead")
        }
        ActualLrpState::Running => format!("index {index} runs {place}; it became healthy {since}"),
        ActualLrpState::Claimed => format!("index {index} was placed {place} and is not healthy yet"),
        ActualLrpState::Crashed => return crashed(guid, record, now),
        ActualLrpState::Unclaimed if record.placement_error.is_empty() => {
            format!("index {index} began to wait for a cell {since}, and no auction has been about it yet")
        }
        ActualLrpState::Unclaimed => format!(
            "index {index} found no cell {since}: {}; it is tried again when a cell joins or gets room back, and every 30 s",
            record.placement_error
        ),
        ActualLrpState::Invalid => format!("index {index} is in a state that this version does not know"),
    };
    if record.stopping {
        text = format!("{text}; its cell was asked to stop it");
    }
    if record.crash_count > 0 {
        text = format!("{text}; it has crashed {}{}", times(record.crash_count), reason(record));
    }
    text
}

/// Where one more instance would go.
pub(super) fn one_more(one_more: &OneMore) -> String {
    let winner = one_more.cells.iter().find(|cell| one_more.cell_id.as_ref() == Some(&cell.cell_id));
    let Some(winner) = winner else {
        return format!("One more instance would find no cell: {}.", one_more.placement_error);
    };
    let would = |cell: &&CellVerdict| cell.verdict == Verdict::Fits;
    let others = || one_more.cells.iter().filter(would).filter(|cell| cell.cell_id != winner.cell_id);
    let why = if others().next().is_none() {
        "no other would take it".to_owned()
    } else if others().all(|cell| cell.zone_instances > winner.zone_instances) {
        format!("zone {} has the fewest instances", winner.zone)
    } else {
        "of the zones with the fewest instances its score is the lowest".to_owned()
    };
    format!("One more instance would go to {}: {why}. Nothing that runs is ever moved.", winner.cell_id)
}

/// What a cell has to say.
pub(super) fn verdict(cell: &CellVerdict) -> String {
    match cell.verdict {
        Verdict::Fits => match cell.score {
            Some(score) => format!("would take it, score {}.{:02}", score / FULL, score % FULL * 100 / FULL),
            None => "would take it".to_owned(),
        },
        Verdict::Full => format!("has too little left: {}", cell.lacks.join(", ")),
        Verdict::Rootfs => "does not provide the rootfs".to_owned(),
        Verdict::Silent => "is not heard".to_owned(),
        Verdict::Evacuating => "takes nothing: its node is drained".to_owned(),
        Verdict::Unknown => "says what this version does not know".to_owned(),
    }
}

/// What cells do not keep apart or to what it asked for, a line for each thing that is so on some.
pub(super) fn isolation(cells: &[CellVerdict]) -> Vec<String> {
    let own_networks = cells.iter().filter(|cell| cell.isolation.own_network);
    let own_networks: Vec<&str> = own_networks.map(|cell| &*cell.cell_id).collect();
    let mut lines = Vec::new();
    if !own_networks.is_empty() {
        lines.push(format!(
            "It would have a network of its own on {}: it is reached through its ports, and reaches nobody itself.",
            own_networks.join(", ")
        ));
    }
    let mut unlimited: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for cell in cells {
        for Unlimited { limit, reason } in &cell.isolation.unlimited {
            unlimited.entry((limit, reason)).or_default().push(&cell.cell_id);
        }
    }
    let told = unlimited.into_iter().map(|((limit, reason), cells)| {
        format!("Its {limit} would not be limited on {}: {reason}.", cells.join(", "))
    });
    lines.extend(told);
    lines
}

fn place(record: &ExplainedRecord) -> String {
    match (&record.cell_id, &record.zone) {
        (Some(cell), Some(zone)) => format!("on {cell} in zone {zone}"),
        (Some(cell), None) => format!("on {cell}, which is gone,"),
        (None, _) => "nowhere".to_owned(),
    }
}

fn crashed(guid: &str, record: &ExplainedRecord, now: UtcTime) -> String {
    let index = record.index;
    let then = match record.restart_at.and_then(moment) {
        Some(at) => format!("it is started again {}", ago(at, now)),
        None => format!("it is not started again: capstan lrp kill {guid} {index} begins anew"),
    };
    format!("index {index} has crashed {}{}; {then}", times(record.crash_count), reason(record))
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times in a row") }
}

fn reason(record: &ExplainedRecord) -> String {
    if record.crash_reason.is_empty() { String::new() } else { format!(", last: {}", record.crash_reason) }
}
