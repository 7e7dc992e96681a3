//! What plans and cells look up, kept beside the records it follows from.
//!
//! Everything here can be rebuilt from the records; no row holds it.

use imbl::{OrdMap, OrdSet};

use super::{
    actual::{Actual, ActualKey, Phase, Presence},
    cell::Used,
    counts::Counts,
    crash,
    guid::Guid,
};
use crate::{ids::Incarnation, time::Timestamp};

/// The lookups over records.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Indexes {
    /// Records on a cell.
    pub(super) by_cell: OrdSet<(Incarnation, ActualKey, Presence)>,
    /// What they take of it; absent when there are none.
    pub(super) used: OrdMap<Incarnation, Used>,
    /// Indices that wait to be placed, and have not been in an auction, by their time.
    pub(super) waiting: OrdSet<(Timestamp, ActualKey)>,
    /// Indices that found no cell, by their time.
    pub(super) unplaced: OrdSet<(Timestamp, ActualKey)>,
    /// Indices that have crashed, by the time at which they are to be started again.
    pub(super) restarts: OrdSet<(Timestamp, ActualKey)>,
    /// How many there are.
    pub(super) counts: Counts,
}

impl Indexes {
    pub(super) fn add(&mut self, key: &ActualKey, presence: Presence, actual: &Actual) {
        *self.counts.of(presence, &actual.phase) += 1;
        if let Some(instance) = actual.instance() {
            self.by_cell.insert((instance.cell, key.clone(), presence));
            self.used.entry(instance.cell).or_default().take(actual.needs);
        }
        if let Some((set, at)) = self.by_time(actual) {
            set.insert((at, key.clone()));
        }
    }

    pub(super) fn remove(&mut self, key: &ActualKey, presence: Presence, actual: &Actual) {
        *self.counts.of(presence, &actual.phase) -= 1;
        if let Some(instance) = actual.instance() {
            self.by_cell.remove(&(instance.cell, key.clone(), presence));
            let used = self.used.get_mut(&instance.cell).expect("what is on a cell was counted");
            used.give_back(actual.needs);
            if used.containers == 0 {
                self.used.remove(&instance.cell);
            }
        }
        if let Some((set, at)) = self.by_time(actual) {
            set.remove(&(at, key.clone()));
        }
    }

    /// The records on a cell, in order.
    pub(super) fn on_cell(
        &self,
        cell: Incarnation,
    ) -> impl Iterator<Item = &(Incarnation, ActualKey, Presence)> {
        let from = (cell, ActualKey { guid: Guid::lowest(), index: 0 }, Presence::Ordinary);
        self.by_cell.range(from..).take_while(move |(on, _, _)| *on == cell)
    }

    /// The index by time that holds a record, and under which.
    fn by_time(&mut self, actual: &Actual) -> Option<(&mut OrdSet<(Timestamp, ActualKey)>, Timestamp)> {
        match &actual.phase {
            Phase::Unclaimed { placement_error } if placement_error.is_empty() => {
                Some((&mut self.waiting, actual.since))
            }
            Phase::Unclaimed { .. } => Some((&mut self.unplaced, actual.since)),
            Phase::Crashed => crash::restart_at(actual).map(|at| (&mut self.restarts, at)),
            Phase::Claimed { .. } | Phase::Running { .. } => None,
        }
    }
}
