//! What the tests of several invariants share.

use bytes::Bytes;
use capstan_model::history::EventId;
use capstan_raft_store::witness::{LogRow, Position, Step};

use super::Invariant;
use crate::{
    events::{self, Beginning, EventLog, Seen},
    oracle::{Disks, Observation},
};

/// A place in the log of term 1.
pub(crate) fn at(index: u64) -> Position {
    Position { term: 1, index }
}

/// Entries of these terms, from an index on.
pub(crate) fn rows(first: u64, terms: &[u64], written: &'static str) -> Vec<LogRow> {
    let row = |(index, term): (u64, &u64)| LogRow {
        at: Position { term: *term, index },
        value: Bytes::from_static(written.as_bytes()),
        voters: None,
    };
    (first..).zip(terms).map(row).collect()
}

/// Shows a step of a node in a world without disks.
pub(crate) fn stepped(invariant: &mut dyn Invariant, node: u64, step: &Step<'_>) -> Result<(), String> {
    invariant.observe(&Observation::Stepped { node, step, disks: &Disks::new() })
}

/// Begins a stream behind an event, or with what happens behind the state at index 3; what follows was acknowledged up to index 2.
pub(crate) fn begun(behind: Option<(u64, u32)>) -> events::Step<'static> {
    let behind = behind.map(|(index, ordinal)| EventId { index, ordinal });
    events::Step::Begun(Beginning { behind, index: 3, acknowledged: 2 })
}

/// Tells of an event.
pub(crate) fn told(index: u64, ordinal: u32) -> events::Step<'static> {
    let id = EventId { index, ordinal };
    events::Step::Told { id, name: "a", data: &serde_json::Value::Null }
}

/// Shows what a tailer of these kinds sees, one step after the other, and says which of the steps are not accepted.
pub(crate) fn refused(
    invariant: &mut dyn Invariant,
    log: &EventLog,
    kinds: &[&'static str],
    steps: Vec<events::Step<'_>>,
) -> Vec<usize> {
    let mut observe = |step| {
        let seen = Seen { tailer: 1, node: 2, kinds, step };
        invariant.observe(&Observation::Tailed { seen: &seen, log })
    };
    let judged = steps.into_iter().map(|step| observe(step).is_err()).collect::<Vec<_>>();
    judged.iter().enumerate().filter(|(_, is_refused)| **is_refused).map(|(place, _)| place).collect()
}
