//! A process that writes to a data directory and says what it does, and what those who listen may rely on after its end.
//!
//! It says what it is about to do (`appending`) and what it was told is done (`appended`). So whatever happens to it, what was done is at
//! least the latter and at most the former.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{apply, command::Entry, state::State};
use openraft::{
    EntryPayload, RaftLogReader,
    storage::{IOFlushed, RaftLogStorage, RaftStateMachine},
    type_config::TypeConfigExt,
};
use rand::{Rng, rngs::SmallRng};

use super::{
    found::{Found, found},
    harness::{entry, log_id, vote},
};
use crate::{
    storage::Opened,
    type_config::{LogId, RaftEntry, TypeConfig},
};

/// Appends, votes, truncates, applies, takes snapshots, installs and purges until it is killed.
pub(super) async fn write_until_killed(
    mut opened: Opened,
    mut random: SmallRng,
    say: &mut impl FnMut(String),
) -> ! {
    let mut term = opened.log.read_vote().await.unwrap().map_or(1, |vote| vote.leader_id().term);
    loop {
        let last = opened.log.last().map_or(0, |last| last.index());
        let applied = opened.machine.applied().map_or(0, |applied| applied.index());
        match random.next_u64() % 16 {
            0 => {
                term += 1;
                say(format!("voting {term}"));
                opened.log.save_vote(&vote(term)).await.unwrap();
                say(format!("voted {term}"));
            }
            1 if last > applied => {
                let to = applied + random.next_u64() % (last - applied);
                say(format!("truncating {to}"));
                let ids = opened.log.try_get_log_entries(to..=to).await.unwrap();
                let to = ids.first().map(|entry| entry.log_id).or(opened.log.purged());
                opened.log.truncate_after(to).await.unwrap();
            }
            2..6 if last > applied => {
                let end = applied + 1 + random.next_u64() % (last - applied);
                let entries = opened.log.try_get_log_entries(applied + 1..=end).await.unwrap();
                for entry in &entries {
                    say(format!(
                        "applying {} {}",
                        **entry.log_id.committed_leader_id(),
                        entry.log_id.index()
                    ));
                }
                opened.apply(entries).await;
                say(format!("applied {end}"));
            }
            6 if applied > 0 => snapshot(&mut opened, &mut random, applied, say).await,
            _ => {
                let count = 1 + random.next_u64() % 4;
                append(&mut opened, term, last, count, say).await;
            }
        }
    }
}

/// Takes a snapshot; installs it, or purges the log before it, now and then.
async fn snapshot(opened: &mut Opened, random: &mut SmallRng, applied: u64, say: &mut impl FnMut(String)) {
    say(format!("snapshotting {applied}"));
    let snapshot = opened.snapshot().await;
    say(format!("snapshot {applied}"));
    match random.next_u64() % 3 {
        0 => {
            say(format!("purging {applied}"));
            opened.log.purge(snapshot.manifest().last_log_id).await.unwrap();
        }
        1 => opened.machine.install_snapshot(&snapshot.manifest().meta(), snapshot).await.unwrap(),
        _ => {}
    }
}

/// Appends entries one by one without waiting, and says of each when it is reported.
async fn append(opened: &mut Opened, term: u64, last: u64, count: u64, say: &mut impl FnMut(String)) {
    let mut reports = Vec::new();
    for index in last + 1..=last + count {
        say(format!("appending {term} {index}"));
        let (reported, report) = TypeConfig::oneshot();
        opened.log.append([entry(log_id(term, index))], IOFlushed::signal(reported)).await.unwrap();
        reports.push((index, report));
    }
    for (index, report) in reports {
        report.await.unwrap().unwrap();
        say(format!("appended {term} {index}"));
    }
}

/// What a writer has said.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// Acknowledged entries that it has not set out to truncate: index and term.
    entries: BTreeMap<u64, u64>,
    /// Every entry that it ever set out to append.
    begun: BTreeSet<LogId>,
    /// Every entry that it ever set out to apply, in order.
    applying: Vec<LogId>,
    applied: u64,
    term: u64,
    voting: u64,
    purging: u64,
    snapshot: u64,
    snapshotting: u64,
}

/// Which crash a directory has come out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    /// The process was killed: what was written is there.
    Kill,
    /// What was not synced may be gone.
    PowerCut,
}

impl Told {
    /// Understands one line.
    pub(super) fn line(&mut self, line: &str) {
        let mut words = line.split(' ');
        let what = words.next().unwrap();
        let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
        match what {
            "appending" => drop(self.begun.insert(log_id(numbers[0], numbers[1]))),
            "appended" => drop(self.entries.insert(numbers[1], numbers[0])),
            // From here on what is behind may or may not be there.
            "truncating" => drop(self.entries.split_off(&(numbers[0] + 1))),
            "voting" => self.voting = numbers[0],
            "voted" => self.term = numbers[0],
            "applying" => self.applying.push(log_id(numbers[0], numbers[1])),
            "applied" => self.applied = numbers[0],
            "snapshotting" => self.snapshotting = numbers[0],
            "snapshot" => self.snapshot = numbers[0],
            "purging" => self.purging = numbers[0],
            other => panic!("the writer says {other}"),
        }
    }

    /// Compares a directory with what was told of it.
    ///
    /// # Errors
    /// What was acknowledged is gone, or there is what was never written.
    pub(super) fn judge(&self, directory: &Directory, crash: Crash) -> Result<(), String> {
        let Found { log, applied, snapshot } = &directory.found;
        let (applied, purged) = (index_of(*applied), index_of(log.purged));
        let snapshot = index_of(*snapshot);
        let must = |holds: bool, what: &str| {
            if holds { Ok(()) } else { Err(format!("{what}: {directory:?}, told {self:?}")) }
        };
        must((self.term..=self.voting).contains(&log.term), "a vote is another one")?;
        let applied_least = match crash {
            Crash::Kill => self.applied,
            Crash::PowerCut => self.snapshot,
        };
        let applied_most = index_of(self.applying.last().copied());
        must((applied_least..=applied_most).contains(&applied), "the state is at another entry")?;
        // An opening takes a snapshot of a state that the log does not reach.
        must((self.snapshot..=applied).contains(&snapshot), "the newest snapshot is another one")?;
        must(snapshot <= self.snapshotting || snapshot == applied, "a snapshot was never taken")?;
        must(purged <= self.purging || purged == applied, "the log was purged further than asked")?;
        must(purged <= snapshot, "what no snapshot holds was purged")?;
        for (index, term) in self.entries.range(purged + 1..) {
            must(
                log.entries.contains(&log_id(*term, *index)),
                &format!("entry {index} of term {term} is lost"),
            )?;
        }
        for id in &log.entries {
            must(self.begun.contains(id), &format!("entry {id} was never appended"))?;
        }
        must(
            log.entries.windows(2).all(|pair| pair[0].index() + 1 == pair[1].index()),
            "the log has a hole",
        )?;
        must(directory.checksum == self.checksum_at(applied), "the state is another one")
    }

    /// Whether the state is behind what was applied.
    pub(super) fn has_forgotten(&self, directory: &Directory) -> bool {
        index_of(directory.found.applied) < self.applied
    }

    fn checksum_at(&self, applied: u64) -> u128 {
        let mut state = State::default();
        for id in self.applying.iter().filter(|id| id.index() <= applied) {
            apply_to(&mut state, &entry(*id));
        }
        state.checksum()
    }

    /// What may be relied on from here on, when the next writer goes on from a directory that was found.
    pub(super) fn restart_from(&mut self, found: &Found) {
        self.entries = found.log.entries.iter().map(|id| (id.index(), **id.committed_leader_id())).collect();
        self.begun = found.log.entries.iter().copied().collect();
        (self.applied, self.purging) = (index_of(found.applied), index_of(found.log.purged));
        self.applying.retain(|id| Some(*id) <= found.applied);
        (self.term, self.voting) = (found.log.term, found.log.term);
        self.snapshot = index_of(found.snapshot);
        self.snapshotting = self.snapshot;
    }
}

/// A directory that was opened, as one process tells another of it.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) found: Found,
    checksum: u128,
}

impl Directory {
    pub(super) async fn of(opened: &mut Opened) -> Self {
        Self { found: found(opened).await, checksum: opened.machine.view().state().checksum() }
    }

    /// As one line; [`Directory::parse`] reads it.
    pub(super) fn line(&self) -> String {
        let Found { log, applied, snapshot } = &self.found;
        let ids = [log.purged, *applied, *snapshot].into_iter().map(|id| id.unwrap_or(log_id(0, 0)));
        let ids = ids.chain(log.entries.iter().copied());
        let ids: Vec<String> =
            ids.map(|id| format!("{} {}", **id.committed_leader_id(), id.index())).collect();
        format!("{} {} {}", log.term, self.checksum, ids.join(" "))
    }

    pub(super) fn parse(line: &str) -> Self {
        let mut numbers = line.split(' ').map(|word| word.parse::<u128>().unwrap());
        let term = numbers.next().unwrap() as u64;
        let checksum = numbers.next().unwrap();
        let numbers: Vec<u64> = numbers.map(|number| number as u64).collect();
        let ids: Vec<LogId> = numbers.chunks(2).map(|pair| log_id(pair[0], pair[1])).collect();
        let some = |id: LogId| Some(id).filter(|id| id.index() > 0);
        let log = super::found::Log { entries: ids[3..].to_vec(), purged: some(ids[0]), term };
        Self { found: Found { log, applied: some(ids[1]), snapshot: some(ids[2]) }, checksum }
    }
}

fn index_of(id: Option<LogId>) -> u64 {
    id.map_or(0, |id| id.index())
}

/// Applies an entry of the tests' histories by the model alone.
pub(super) fn apply_to(state: &mut State, entry: &RaftEntry) {
    let EntryPayload::Normal(data) = &entry.payload else { unreachable!("the tests' entries hold commands") };
    let commands: Entry = postcard::from_bytes(&data.0).unwrap();
    apply::apply(state, entry.log_id.index(), &commands);
}
