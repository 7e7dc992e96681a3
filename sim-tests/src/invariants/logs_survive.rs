//! R8: what a node finds of its log and vote after a crash is what was synced, and of what was written since a first part.

use std::collections::{BTreeMap, VecDeque};

use capstan_raft_store::witness::{Ballot, LogRow, Position, Step};
use xxhash_rust::xxh3::xxh3_64;

use super::Invariant;
use crate::{disk::Loss, oracle::Observation};

/// After a loss of power, some state between the synced and the newest; after a kill, the newest.
#[derive(Default)]
pub(crate) struct LogsSurvive {
    nodes: BTreeMap<u64, Written>,
}

/// What one node has written of its log.
#[derive(Default)]
struct Written {
    durable: Log,
    /// What came after it, oldest first.
    pending: VecDeque<Write>,
    /// Counts the writes.
    writes: usize,
    /// How many had been made when each sync was asked for.
    syncs: BTreeMap<u64, usize>,
    is_open: bool,
    /// Whether its power was lost since it was opened last.
    lost_power: bool,
}

/// A log and the vote beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Log {
    vote: Option<Ballot>,
    purged: Option<Position>,
    /// Each with the hash of what is written.
    entries: BTreeMap<u64, (u64, u64)>,
}

/// One write, which comes through a crash as a whole or not at all.
#[derive(Debug, Clone)]
enum Write {
    Vote(Ballot),
    Append(Vec<(u64, (u64, u64))>),
    Truncate(Option<Position>),
    Purge(Position),
    Restart(Position),
}

impl Invariant for LogsSurvive {
    fn name(&self) -> &'static str {
        "after a crash a log is what was synced, and a first part of what was written since"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Crashed { node, loss } => {
                let written = self.nodes.entry(*node).or_default();
                written.lost_power |= *loss == Loss::Power;
                written.is_open = false;
                written.syncs.clear();
                Ok(())
            }
            Observation::Stepped { node, step, .. } => {
                let heeded = self.nodes.entry(*node).or_default().heed(step);
                heeded.map_err(|found| format!("node {node}: {found}"))
            }
            _ => Ok(()),
        }
    }
}

impl Written {
    fn heed(&mut self, step: &Step<'_>) -> Result<(), String> {
        let write = match step {
            Step::VoteWritten(vote) => Write::Vote(*vote),
            Step::Appended(rows) => Write::Append(rows.iter().map(entry).collect()),
            Step::Truncated(last) => Write::Truncate(*last),
            Step::Purged(upto) => Write::Purge(*upto),
            Step::Restarted(behind) => Write::Restart(*behind),
            Step::SyncAsked(number) => {
                if self.is_open {
                    self.syncs.insert(*number, self.writes);
                }
                return Ok(());
            }
            Step::SyncDone(number) => {
                self.synced(*number);
                return Ok(());
            }
            Step::LogOpened { purged, vote, rows, .. } => {
                let entries = rows.iter().map(entry).collect();
                return self.opened(Log { vote: *vote, purged: *purged, entries });
            }
            _ => return Ok(()),
        };
        self.pending.push_back(write);
        self.writes += 1;
        Ok(())
    }

    fn synced(&mut self, number: u64) {
        // What is synced while the log is being opened is what was found, and is known when it is open.
        let Some(upto) = self.syncs.remove(&number) else { return };
        while self.writes - self.pending.len() < upto {
            let write = self.pending.pop_front().expect("it was counted");
            self.durable.write(&write);
        }
    }

    fn opened(&mut self, found: Log) -> Result<(), String> {
        let pending = std::mem::take(&mut self.pending);
        let mut expected = std::mem::take(&mut self.durable);
        let mut is_known = self.lost_power && expected == found;
        for (number, write) in pending.iter().enumerate() {
            expected.write(write);
            is_known |= (self.lost_power || number + 1 == pending.len()) && expected == found;
        }
        is_known |= pending.is_empty() && expected == found;
        let told =
            if is_known { Ok(()) } else { Err(told(&expected, &found, pending.len(), self.lost_power)) };
        *self = Self { durable: found, is_open: true, ..Self::default() };
        told
    }
}

impl Log {
    fn write(&mut self, write: &Write) {
        match write {
            Write::Vote(vote) => self.vote = Some(*vote),
            Write::Append(entries) => self.entries.extend(entries.iter().copied()),
            Write::Truncate(last) => {
                self.entries.retain(|index, _| last.is_some_and(|last| *index <= last.index));
            }
            Write::Purge(upto) => {
                self.purged = Some(*upto);
                self.entries.retain(|index, _| *index > upto.index);
            }
            Write::Restart(behind) => {
                self.purged = Some(*behind);
                self.entries.clear();
            }
        }
    }

    /// Its ends, for a message.
    fn ends(&self) -> (Option<Ballot>, Option<Position>, Option<u64>, Option<u64>) {
        let (first, last) = (self.entries.keys().next(), self.entries.keys().next_back());
        (self.vote, self.purged, first.copied(), last.copied())
    }
}

fn entry(row: &LogRow) -> (u64, (u64, u64)) {
    (row.at.index, (row.at.term, xxh3_64(&row.value)))
}

fn told(newest: &Log, found: &Log, pending: usize, lost_power: bool) -> String {
    format!(
        "it had {:?} after {pending} unsynced writes, lost power: {lost_power}, and finds {:?} (vote, purged, first, last)",
        newest.ends(),
        found.ends()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::testing::{at, rows, stepped};

    fn opened(rows: &[LogRow]) -> Step<'_> {
        Step::LogOpened { purged: None, committed: None, vote: None, rows }
    }

    /// Writes three entries, one by one, of which the first was synced; then a crash, after which so many are found.
    fn survives(loss: Loss, found: u64) -> bool {
        let mut logs = LogsSurvive::default();
        let entry = |index| rows(index, &[1], "a");
        for step in [
            opened(&[]),
            Step::Appended(&entry(0)),
            Step::SyncAsked(1),
            Step::Appended(&entry(1)),
            Step::SyncDone(1),
            Step::Appended(&entry(2)),
        ] {
            stepped(&mut logs, 1, &step).expect("writes are no crash");
        }
        logs.observe(&Observation::Crashed { node: 1, loss }).expect("nothing is found yet");
        let rows: Vec<LogRow> = (0..found).flat_map(entry).collect();
        stepped(&mut logs, 1, &opened(&rows)).is_ok()
    }

    #[test]
    fn a_loss_of_power_leaves_what_was_synced_and_a_kill_everything() {
        let found: Vec<u64> = (0..=4).filter(|found| survives(Loss::Power, *found)).collect();
        assert_eq!(found, [1, 2, 3]);
        let found: Vec<u64> = (0..=4).filter(|found| survives(Loss::Process, *found)).collect();
        assert_eq!(found, [3]);
    }

    #[test]
    fn what_was_cut_off_does_not_come_back() {
        let mut logs = LogsSurvive::default();
        let (old, new) = (rows(0, &[1, 1, 1], "a"), rows(1, &[2], "b"));
        for step in [
            opened(&[]),
            Step::Appended(&old),
            Step::Truncated(Some(at(0))),
            Step::Appended(&new),
            Step::SyncAsked(1),
            Step::SyncDone(1),
        ] {
            stepped(&mut logs, 1, &step).expect("writes are no crash");
        }
        let crashed = Observation::Crashed { node: 1, loss: Loss::Power };
        logs.observe(&crashed).expect("nothing is found yet");
        let found = [rows(0, &[1], "a"), new].concat();
        stepped(&mut logs, 1, &opened(&found)).expect("that is what was synced");
        logs.observe(&crashed).expect("nothing is found yet");
        assert!(stepped(&mut logs, 1, &opened(&old)).is_err());
    }
}
