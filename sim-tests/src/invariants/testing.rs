//! What the tests of several invariants share.

use bytes::Bytes;
use capstan_raft_store::witness::{LogRow, Position, Step};

use super::Invariant;
use crate::oracle::{Disks, Observation};

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
