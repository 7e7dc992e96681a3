//! What is to be done without anybody asking for it: replace what was lost, evacuate, start again what has waited long enough.
//!
//! The leader looks whether there is a step, and proposes `Converge` as long as there is one; apply lists the same steps
//! again and does the first [`STEPS_MAX`]. What is to be placed is the auction's matter.

use std::time::Duration;

use super::{
    Lrps,
    actual::{ActualKey, Presence},
    draft::Draft,
    event::LrpEvent,
};
use crate::{ids::Incarnation, state::State, time::Timestamp};

/// How many steps one command does.
pub const STEPS_MAX: usize = 256;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The cell of a record is silent or gone: the record goes, and the index begins anew if it is desired.
    Replace {
        /// Its index.
        key: ActualKey,
        /// Which of the two.
        presence: Presence,
    },
    /// The cell of an instance is drained: the index is to be placed elsewhere. A running instance goes on until then.
    Evacuate {
        /// Its index.
        key: ActualKey,
    },
    /// An instance that crashed has waited long enough.
    Restart {
        /// Its index.
        key: ActualKey,
    },
}

/// The steps to be done at a time, the most urgent first.
pub fn steps(lrps: &Lrps, at: Timestamp) -> impl Iterator<Item = Step> {
    lost(lrps).chain(to_evacuate(lrps)).chain(to_restart(lrps, at))
}

/// When the next restart is due, if nothing else happens.
pub fn next_restart(lrps: &Lrps) -> Option<Timestamp> {
    lrps.indexes.restarts.get_min().map(|(at, _)| *at)
}

fn lost(lrps: &Lrps) -> impl Iterator<Item = Step> {
    let is_gone = |cell: &&Incarnation| !lrps.is_present(**cell) && !mutant!("lost-cells-kept");
    let gone = lrps.indexes.used.keys().filter(is_gone);
    let records = gone.flat_map(|cell| lrps.indexes.on_cell(*cell));
    records.map(|(_, key, presence)| Step::Replace { key: key.clone(), presence: *presence })
}

fn to_evacuate(lrps: &Lrps) -> impl Iterator<Item = Step> {
    let drained = lrps.cells().filter(|(_, cell)| cell.evacuating && !cell.silent);
    let records = drained.flat_map(|(_, cell)| lrps.on_cell(cell.incarnation));
    let to_move =
        records.filter(|record| record.presence == Presence::Ordinary && record.actual.stopping().is_none());
    to_move.map(|record| Step::Evacuate { key: record.key.clone() })
}

fn to_restart(lrps: &Lrps, at: Timestamp) -> impl Iterator<Item = Step> {
    let early = if mutant!("restart-before-its-time") { Duration::from_secs(20) } else { Duration::ZERO };
    let due = lrps.indexes.restarts.iter().take_while(move |(due, _)| *due <= at.after(early));
    due.map(|(_, key)| Step::Restart { key: key.clone() })
}

/// Does the first steps that there are.
pub(super) fn converge(state: &State, at: Timestamp, draw: u128) -> Vec<LrpEvent> {
    let mut draft = Draft::new(state, at);
    // A command without a session may be executed twice, and what it begins anew the second time is something else.
    let draw = draw ^ u128::from(state.index());
    for step in steps(&state.lrps, at).take(STEPS_MAX) {
        match step {
            Step::Replace { key, presence } => {
                sometimes!("a lost cell's instance is replaced", presence == Presence::Ordinary);
                sometimes!("a lost cell's evacuating copy is given up", presence == Presence::Evacuating);
                draft.replace(&key, presence, draw);
            }
            Step::Evacuate { key } => evacuate(&mut draft, &key, draw),
            Step::Restart { key } => {
                sometimes!("an instance is started again after its wait");
                draft.unclaim(&key);
            }
        }
    }
    draft.into_events()
}

/// An instance that runs is kept beside the new record until that one runs, and however long that takes: unlike Diego, which
/// ends it when the other cannot be placed. One that does not run yet is nothing to keep.
fn evacuate(draft: &mut Draft, key: &ActualKey, draw: u128) {
    let actual = draft.actual(key, Presence::Ordinary).expect("what is on a cell exists");
    sometimes!("an instance is evacuated while it runs", actual.is_running());
    sometimes!("an instance is evacuated before it runs", !actual.is_running());
    if actual.is_running() && !mutant!("evacuated-before-another-runs") {
        draft.keep_evacuating(key, &actual, draw);
    }
    draft.unclaim(key);
}
