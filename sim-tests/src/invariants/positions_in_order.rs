//! R6: what is purged is in a snapshot, what is in a snapshot is applied, what is applied is committed, what is committed is in the log.

use std::collections::BTreeMap;

use capstan_raft_store::witness::{Position, Step};

use super::Invariant;
use crate::{disk::Loss, oracle::Observation};

/// In memory `purged <= snapshot <= applied <= committed <= last`, and none but the last ever decreases; a crash takes back what is
/// applied and never a snapshot, and the log does not end below what the state says was flushed.
#[derive(Default)]
pub(crate) struct PositionsInOrder {
    nodes: BTreeMap<u64, Positions>,
}

/// How far a node is. Its log counts from 0, so what is not there yet is `None`.
#[derive(Debug, Clone, Default)]
struct Positions {
    purged: Option<u64>,
    snapshot: Option<u64>,
    applied: Option<u64>,
    committed: Option<u64>,
    last: Option<u64>,
    /// How far its log reached when it was opened.
    found: Option<u64>,
    /// How far the rows of its state are written.
    stored: Option<u64>,
    /// The newest snapshot before this life, and how far the rows were written then.
    before: (Option<u64>, Option<u64>),
    loss: Option<Loss>,
}

impl Invariant for PositionsInOrder {
    fn name(&self) -> &'static str {
        "purged, snapshot, applied, committed and last are in this order, and grow"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Stepped { node, step, .. } => {
                let positions = self.nodes.entry(*node).or_default();
                let before = positions.clone();
                if positions.heed(step) {
                    Ok(())
                } else {
                    Err(format!("node {node} had {before:?}: {step:?}"))
                }
            }
            Observation::Crashed { node, loss } => {
                let positions = self.nodes.entry(*node).or_default();
                let is_power = *loss == Loss::Power || positions.loss == Some(Loss::Power);
                let stored = positions.stored.max(positions.before.1);
                *positions = Positions {
                    before: (positions.snapshot.max(positions.before.0), stored),
                    loss: Some(if is_power { Loss::Power } else { Loss::Process }),
                    ..Positions::default()
                };
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Positions {
    /// Whether the step leaves everything in order.
    fn heed(&mut self, step: &Step<'_>) -> bool {
        let index = |at: &Option<Position>| at.map(|at| at.index);
        match step {
            // Snapshots are found before the log is, and installed again after it.
            Step::LogOpened { purged, committed, rows, .. } => {
                self.purged = index(purged);
                self.last = rows.last().map(|row| row.at.index).max(self.purged);
                self.found = self.last;
                self.committed = index(committed);
                self.committed <= self.last && self.purged <= self.snapshot
            }
            Step::Restarted(behind) => {
                (self.purged, self.last) = (Some(behind.index), Some(behind.index));
                self.purged <= self.snapshot
            }
            Step::Opened { applied, flushed, .. } => {
                self.applied = index(applied);
                self.committed = self.committed.max(self.applied);
                let (snapshot, stored) = self.before;
                let is_kept = self.loss != Some(Loss::Process) || self.applied >= stored;
                self.stored = self.applied;
                // What a loss of power took is forgotten; what is found is what the next crash may take.
                (self.before.1, self.loss) = (None, None);
                is_kept && self.found >= *flushed && self.snapshot >= snapshot && self.is_ordered()
            }
            Step::Appended(rows) => {
                self.last = rows.last().map(|row| row.at.index).max(self.last);
                true
            }
            Step::Truncated(last) => {
                self.last = index(last);
                self.is_ordered()
            }
            Step::Committed(at) => {
                let has_grown = self.committed <= Some(at.index);
                self.committed = Some(at.index);
                has_grown && self.is_ordered()
            }
            Step::Applying { at, .. } => {
                let is_next = self.applied.map_or(0, |applied| applied + 1) == at.index;
                self.applied = Some(at.index);
                is_next && self.is_ordered()
            }
            // The log is cut to it later, and until then counts as if it were.
            Step::Installed { at, .. } => {
                let has_grown = self.applied <= Some(at.index);
                self.applied = Some(at.index);
                self.stored = self.applied;
                self.committed = self.committed.max(self.applied);
                self.last = self.last.max(self.applied);
                has_grown
            }
            Step::Stored(at) => {
                self.stored = Some(at.index);
                self.stored == self.applied
            }
            // One that is about to be installed is ahead of what is applied until it is.
            Step::SnapshotKept { at, .. } => {
                self.snapshot = self.snapshot.max(Some(at.index));
                true
            }
            Step::Purged(upto) => {
                self.purged = self.purged.max(Some(upto.index));
                self.last = self.last.max(self.purged);
                self.is_ordered()
            }
            Step::VoteWritten(_)
            | Step::VoteSaved(_)
            | Step::SyncAsked(_)
            | Step::SyncDone(_)
            | Step::Applied { .. } => true,
        }
    }

    fn is_ordered(&self) -> bool {
        let order = [self.purged, self.snapshot, self.applied, self.committed, self.last];
        order.is_sorted()
    }
}

#[cfg(test)]
mod tests {
    use capstan_raft_store::witness::Content;

    use super::*;
    use crate::invariants::testing::{at, rows, stepped};

    fn opened(applied: Option<u64>, flushed: Option<u64>) -> Step<'static> {
        Step::Opened { applied: applied.map(at), flushed, voters: vec![] }
    }

    fn applying(index: u64) -> Step<'static> {
        Step::Applying { at: at(index), content: Content::Blank }
    }

    fn kept(index: u64) -> Step<'static> {
        Step::SnapshotKept { at: at(index), checksum: 0 }
    }

    /// Opens a log of three entries, and takes these steps; the result is how many were in order.
    fn in_order(steps: &[Step<'_>]) -> usize {
        let mut positions = PositionsInOrder::default();
        let found =
            Step::LogOpened { purged: None, committed: None, vote: None, rows: &rows(0, &[1; 3], "") };
        stepped(&mut positions, 1, &found).expect("an untouched log is in order");
        steps.iter().take_while(|step| stepped(&mut positions, 1, step).is_ok()).count()
    }

    #[test]
    fn nothing_is_ahead_of_what_it_rests_on() {
        let well = [
            opened(None, None),
            Step::Committed(at(2)),
            applying(0),
            applying(1),
            kept(1),
            Step::Purged(at(1)),
        ];
        assert_eq!(in_order(&well), well.len());
        assert_eq!(in_order(&[opened(None, None), applying(0)]), 1, "not committed");
        assert_eq!(in_order(&[opened(None, None), Step::Committed(at(3))]), 1, "not in the log");
        assert_eq!(
            in_order(&[opened(None, None), Step::Committed(at(2)), applying(1)]),
            2,
            "one is left out"
        );
        let purge = [opened(None, None), Step::Committed(at(2)), applying(0), Step::Purged(at(0))];
        assert_eq!(in_order(&purge), 3, "in no snapshot");
        let truncate = [opened(None, None), Step::Committed(at(2)), Step::Truncated(Some(at(1)))];
        assert_eq!(in_order(&truncate), 2, "committed");
        assert_eq!(in_order(&[opened(Some(2), Some(3))]), 0, "flushed and gone");
    }

    #[test]
    fn a_crash_takes_no_snapshot_back_and_a_kill_nothing_at_all() {
        let rest = |loss, step: Step<'_>| {
            let mut positions = PositionsInOrder::default();
            let found =
                Step::LogOpened { purged: None, committed: None, vote: None, rows: &rows(0, &[1; 3], "") };
            for step in [
                &found,
                &opened(Some(1), None),
                &Step::Committed(at(2)),
                &applying(2),
                &Step::Stored(at(2)),
                &kept(1),
            ] {
                stepped(&mut positions, 1, step).expect("all is in order");
            }
            positions.observe(&Observation::Crashed { node: 1, loss }).expect("a crash is no step");
            let steps = [&kept(1), &found, &step];
            steps.into_iter().all(|step| stepped(&mut positions, 1, step).is_ok())
        };
        assert!(rest(Loss::Power, opened(Some(1), None)));
        assert!(rest(Loss::Process, opened(Some(2), None)));
        assert!(!rest(Loss::Process, opened(Some(1), None)));
        assert!(!rest(Loss::Power, opened(Some(0), None)), "the snapshot goes further");
    }

    #[test]
    fn what_a_loss_of_power_took_is_not_asked_for_again() {
        let mut positions = PositionsInOrder::default();
        let found =
            Step::LogOpened { purged: None, committed: None, vote: None, rows: &rows(0, &[1; 3], "") };
        for step in
            [&found, &opened(Some(1), None), &Step::Committed(at(2)), &applying(2), &Step::Stored(at(2))]
        {
            stepped(&mut positions, 1, step).expect("all is in order");
        }
        for loss in [Loss::Power, Loss::Process] {
            positions.observe(&Observation::Crashed { node: 1, loss }).expect("a crash is no step");
            for step in [&found, &opened(Some(1), None)] {
                stepped(&mut positions, 1, step).expect("the first crash took the last entry");
            }
        }
    }
}
