//! Every sequence of four operations, with the power cut after each of its steps.
//!
//! The disk is `engine/volatile.rs`: it goes on while copies of it are cut. A [`Model`] says which directories each cut may leave, and what was
//! acknowledged by then. The operations are those that write; what openraft would not ask for in a given state is passed over.

use std::{collections::BTreeMap, io, sync::Arc};

use capstan_model::state::State;
use futures::FutureExt;
use openraft::{
    storage::{IOFlushed, RaftLogStorage, RaftStateMachine},
    type_config::{TypeConfigExt, alias::OneshotReceiverOf},
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    found::{Found, Log, found},
    harness::{entry, history, log_id, open_on, vote},
    writer::apply_to,
};
use crate::{
    engine::{testing::TestDisk, volatile::VolatileDisk},
    runtime,
    snapshot::SnapshotHandle,
    storage::Opened,
    type_config::{LogId, RaftEntry, TypeConfig},
};

/// The operations of a sequence.
const LENGTH: usize = 4;
/// Cuts before the first operation and after each.
const CUTS: usize = LENGTH + 1;
/// The last entry of the snapshot that another node sends.
const FOREIGN_LAST: u64 = 8;
/// Its term, later than any vote of a sequence.
const FOREIGN_TERM: u64 = 9;
/// The term of what is appended after the power is back.
const LATER_TERM: u64 = 20;

/// One thing that openraft asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// Two entries are appended; nobody waits for them.
    Append,
    /// A higher term is voted in, which waits for its sync.
    Vote,
    /// The last entry is removed, unless it was applied.
    Truncate,
    /// The next entry is committed and applied, whether it is durable or not.
    Apply,
    /// The syncs that are under way end.
    Sync,
    /// A snapshot is built.
    Snapshot,
    /// The log is removed up to the newest snapshot.
    Purge,
    /// Another node's snapshot is received and installed, and the log before it removed.
    Install,
}

const OPERATIONS: [Operation; 8] = [
    Operation::Append,
    Operation::Vote,
    Operation::Truncate,
    Operation::Apply,
    Operation::Sync,
    Operation::Snapshot,
    Operation::Purge,
    Operation::Install,
];
const SEQUENCES: usize = OPERATIONS.len().pow(LENGTH as u32);

/// What survives of the unsynced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Survivors {
    Nothing,
    All,
    /// A prefix of each engine's, file's and folder's, drawn from this seed.
    Prefixes(u64),
}

/// The directory that a sequence starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beginning {
    /// It was just made.
    New,
    /// Four entries are in the log, three of them applied and two in a snapshot.
    Used,
}

/// What was asked of a directory, and which crash may forget how much of it.
#[derive(Clone)]
struct Model {
    /// What the log engine held after each write since the last sync; the first is durable.
    logs: Vec<Log>,
    /// Which of them the newest sync that was asked for covers.
    asked: usize,
    /// What was applied, by the state engine, since it was last made durable; the first is.
    applied: Vec<Option<LogId>>,
    snapshot: Option<LogId>,
    /// Entries reported as durable that nobody took back.
    acknowledged: Vec<LogId>,
    state: State,
    /// The checksum of the state at each entry that was ever applied here.
    checksums: BTreeMap<LogId, u128>,
}

impl Model {
    fn new() -> Self {
        Self {
            logs: vec![Log::default()],
            asked: 0,
            applied: vec![None],
            snapshot: None,
            acknowledged: vec![],
            state: State::default(),
            checksums: BTreeMap::new(),
        }
    }

    fn log(&self) -> &Log {
        self.logs.last().expect("there is always one")
    }

    fn applied(&self) -> Option<LogId> {
        *self.applied.last().expect("there is always one")
    }

    fn newest_term(&self) -> u64 {
        let last = self.log().last().map_or(1, |last| **last.committed_leader_id());
        self.log().term.max(last)
    }

    fn write(&mut self, change: impl FnOnce(&mut Log)) {
        let mut log = self.log().clone();
        change(&mut log);
        self.logs.push(log);
    }

    /// A sync of what was written so far is asked for.
    fn ask_sync(&mut self) {
        self.asked = self.logs.len() - 1;
    }

    /// The syncs that were asked for have ended.
    fn end_syncs(&mut self) {
        self.logs.drain(..std::mem::take(&mut self.asked));
    }

    fn install(&mut self, foreign: &Foreign) {
        let last = foreign.snapshot.manifest().last_log_id;
        self.state = foreign.state.clone();
        self.checksums.insert(last, self.state.checksum());
        self.applied = vec![Some(last)];
        self.snapshot = Some(last);
    }

    fn apply(&mut self, entry: &RaftEntry) {
        apply_to(&mut self.state, entry);
        self.checksums.insert(entry.log_id, self.state.checksum());
        self.applied.push(Some(entry.log_id));
    }

    /// The directories that may be found. An opening may go by the snapshot, and it drops a log that does not reach the state.
    fn outcomes(&self, survivors: Survivors) -> Vec<Found> {
        let (logs, states) = match survivors {
            Survivors::Nothing => (&self.logs[..1], &self.applied[..1]),
            Survivors::All => (&self.logs[self.logs.len() - 1..], &self.applied[self.applied.len() - 1..]),
            Survivors::Prefixes(_) => (&self.logs[..], &self.applied[..]),
        };
        let pairs = logs.iter().flat_map(|log| states.iter().map(move |state| (log, *state)));
        pairs.map(|(log, state)| self.recovered(log, state)).collect()
    }

    fn recovered(&self, log: &Log, state: Option<LogId>) -> Found {
        let applied = state.max(self.snapshot);
        match applied {
            Some(id) if log.purged != applied && !log.entries.contains(&id) => Found {
                log: Log { entries: vec![], purged: applied, term: log.term },
                applied,
                snapshot: applied,
            },
            _ => Found { log: log.clone(), applied, snapshot: self.snapshot },
        }
    }
}

/// A snapshot of another node, and the state in it.
struct Foreign {
    snapshot: SnapshotHandle,
    state: State,
}

impl Foreign {
    async fn new() -> Self {
        let mut opened = open_on(Arc::new(VolatileDisk::new())).await.unwrap();
        let mut entries = history(FOREIGN_LAST - 1);
        entries.push(entry(log_id(FOREIGN_TERM, FOREIGN_LAST)));
        let mut state = State::default();
        entries.iter().for_each(|entry| apply_to(&mut state, entry));
        opened.commit(entries).await;
        Self { snapshot: opened.snapshot().await, state }
    }
}

/// A directory in use, and what is known of it.
struct Run {
    disk: VolatileDisk,
    opened: Opened,
    model: Model,
    /// What was appended and not yet reported as durable.
    unreported: Vec<(Report, [LogId; 2])>,
}

type Report = OneshotReceiverOf<TypeConfig, io::Result<()>>;

impl Run {
    /// Starts in a directory that was just made, or in one with four entries of which three are applied and two in a snapshot. `left_out`
    /// names what the disk only pretends to do, if anything.
    async fn begin(beginning: Beginning, left_out: Option<&'static str>) -> Self {
        let disk = VolatileDisk::new();
        let (watched, controls) = TestDisk::new(Arc::new(disk.clone()));
        let mut opened = open_on(watched).await.unwrap();
        let mut model = Model::new();
        if beginning == Beginning::Used {
            opened.append(history(4)).await;
            opened.apply(history(2)).await;
            opened.snapshot().await;
            opened.apply(history(3).split_off(2)).await;
            model.write(|log| log.entries = (1..=4).map(|index| log_id(1, index)).collect());
            history(3).iter().for_each(|entry| model.apply(entry));
            model.snapshot = Some(log_id(1, 2));
            model.ask_sync();
            model.end_syncs();
            model.acknowledged = model.log().entries.clone();
        }
        disk.hold_syncs();
        if let Some(left_out) = left_out {
            controls.leave_out(left_out);
        }
        Self { disk, opened, model, unreported: vec![] }
    }

    async fn perform(&mut self, operation: Operation, foreign: &Foreign) {
        match operation {
            Operation::Append => self.append().await,
            Operation::Vote => self.vote().await,
            Operation::Truncate => self.truncate().await,
            Operation::Apply => self.apply().await,
            Operation::Sync => self.end_syncs(),
            Operation::Snapshot => self.snapshot().await,
            Operation::Purge => self.purge().await,
            Operation::Install => self.install(foreign).await,
        }
        self.note_reports();
    }

    async fn append(&mut self) {
        let next = self.model.log().last().map_or(1, |last| last.index() + 1);
        let term = self.model.newest_term();
        let ids = [log_id(term, next), log_id(term, next + 1)];
        let (reported, report) = TypeConfig::oneshot();
        self.opened.log.append(ids.map(entry), IOFlushed::signal(reported)).await.unwrap();
        self.unreported.push((report, ids));
        self.model.write(|log| log.entries.extend(ids));
        self.model.ask_sync();
    }

    async fn vote(&mut self) {
        let term = self.model.newest_term() + 1;
        let vote = vote(term);
        let mut saving = std::pin::pin!(self.opened.log.save_vote(&vote));
        if let Some(saved) = saving.as_mut().now_or_never() {
            saved.unwrap();
        } else {
            self.disk.end_syncs();
            saving.await.unwrap();
        }
        self.model.write(|log| log.term = term);
        self.model.ask_sync();
        self.model.end_syncs();
    }

    async fn truncate(&mut self) {
        let log = self.model.log();
        let Some(last) = log.entries.last().copied().filter(|last| Some(*last) > self.model.applied()) else {
            return;
        };
        let kept = log.entries.iter().rev().nth(1).copied().or(log.purged);
        self.opened.log.truncate_after(kept).await.unwrap();
        self.model.write(|log| log.entries.retain(|id| *id != last));
        self.model.acknowledged.retain(|id| *id != last);
    }

    async fn apply(&mut self) {
        let next = self.model.applied().map_or(1, |applied| applied.index() + 1);
        let Some(id) = self.model.log().entries.iter().copied().find(|id| id.index() == next) else { return };
        self.opened.log.save_committed(Some(id)).await.unwrap();
        self.opened.apply(vec![entry(id)]).await;
        self.model.apply(&entry(id));
    }

    fn end_syncs(&mut self) {
        self.disk.end_syncs();
        self.model.end_syncs();
        self.note_reports();
        assert!(self.unreported.is_empty(), "a sync has ended and was not reported");
    }

    async fn snapshot(&mut self) {
        if self.model.applied().is_none() {
            return;
        }
        self.opened.snapshot().await;
        self.model.snapshot = self.model.applied();
    }

    async fn purge(&mut self) {
        let Some(upto) = self.model.snapshot.filter(|id| Some(*id) > self.model.log().purged) else { return };
        self.opened.log.purge(upto).await.unwrap();
        self.model.write(|log| {
            log.entries.retain(|id| id.index() > upto.index());
            log.purged = Some(upto);
        });
    }

    /// As openraft does, removes the log that the snapshot replaces at once.
    async fn install(&mut self, foreign: &Foreign) {
        if self.model.applied().is_some_and(|applied| applied.index() >= FOREIGN_LAST) {
            return;
        }
        let meta = foreign.snapshot.manifest().meta();
        let received = self.opened.receive(&foreign.snapshot).await.unwrap();
        self.opened.machine.install_snapshot(&meta, received).await.unwrap();
        self.model.install(foreign);
        self.purge().await;
    }

    fn note_reports(&mut self) {
        let model = &mut self.model;
        // tokio would have a task that polls this much wait for its next turn.
        self.unreported.retain_mut(|(report, ids)| match tokio::task::unconstrained(report).now_or_never() {
            None => true,
            Some(reported) => {
                reported.unwrap().unwrap();
                // Some may have been truncated meanwhile.
                let stand: Vec<LogId> =
                    ids.iter().copied().filter(|id| model.log().entries.contains(id)).collect();
                model.acknowledged.extend(stand);
                false
            }
        });
    }

    /// Cuts the power of a copy of the disk and looks at what is found.
    async fn cut(&self, survivors: Survivors) -> Result<(), String> {
        let mut random = match survivors {
            Survivors::Prefixes(seed) => SmallRng::seed_from_u64(seed),
            Survivors::Nothing | Survivors::All => SmallRng::seed_from_u64(0),
        };
        let mut count = |steps: usize| match survivors {
            Survivors::Nothing => 0,
            Survivors::All => steps,
            Survivors::Prefixes(_) => random.random_range(0..=steps),
        };
        let left = Arc::new(self.disk.after_power_cut(&mut count));
        let mut opened = open_on(left).await.map_err(|error| format!("it was refused: {error:?}"))?;
        let found = found(&mut opened).await;
        let possible = self.model.outcomes(survivors);
        if !possible.contains(&found) {
            return Err(format!("found {found:?}, but possible are {possible:?}"));
        }
        let is_there = |id: &&LogId| {
            found.log.entries.contains(id) || Some(id.index()) <= found.log.purged.map(|id| id.index())
        };
        if let Some(lost) = self.model.acknowledged.iter().find(|id| !is_there(id)) {
            return Err(format!("{lost} was acknowledged and is gone: {found:?}"));
        }
        let checksum = opened.machine.view().state().checksum();
        let expected = found.applied.map_or(State::default().checksum(), |id| self.model.checksums[&id]);
        if checksum != expected {
            return Err(format!("the state at {:?} is another one", found.applied));
        }
        if opened.log.read_committed().await.unwrap() > found.log.last().max(found.applied) {
            return Err("the committed entry is ahead of the log".to_owned());
        }
        go_on(&mut opened, &found).await
    }
}

/// A directory that was found must also be of use.
async fn go_on(opened: &mut Opened, found: &Found) -> Result<(), String> {
    let next = found.log.last().map_or(1, |last| last.index() + 1);
    opened.append(vec![entry(log_id(LATER_TERM, next))]).await;
    if opened.log_ids().await.last() == Some(&log_id(LATER_TERM, next)) {
        Ok(())
    } else {
        Err("an entry that was appended afterwards is not there".to_owned())
    }
}

/// What happened to the sequences from one beginning.
#[derive(Default)]
struct Tally {
    cases: usize,
    openings: usize,
    failures: Vec<String>,
}

/// Performs every sequence on a disk that leaves out what is named, if anything, and cuts the power before it and after each of its
/// operations; ends at the first `failures_max` failures. Of each cut some of the unsynced survives, drawn anew even where two sequences
/// begin alike; of the first of those also nothing and all.
async fn cut_everywhere(beginning: Beginning, left_out: Option<&'static str>, failures_max: usize) -> Tally {
    let _inline = runtime::enter(1);
    let foreign = Foreign::new().await;
    let mut tally = Tally::default();
    for number in 0..SEQUENCES {
        let operations: [Operation; LENGTH] = std::array::from_fn(|place| {
            OPERATIONS[number / OPERATIONS.len().pow(place as u32) % OPERATIONS.len()]
        });
        let mut run = Run::begin(beginning, left_out).await;
        for done in 0..CUTS {
            if let Some(last) = done.checked_sub(1) {
                run.perform(operations[last], &foreign).await;
            }
            tally.cases += 1;
            let is_first = number < OPERATIONS.len().pow(done as u32);
            let whole = [Survivors::Nothing, Survivors::All].into_iter().filter(|_| is_first);
            for survivors in whole.chain([Survivors::Prefixes((number * CUTS + done) as u64)]) {
                tally.openings += 1;
                if let Err(failure) = run.cut(survivors).await {
                    let done = &operations[..done];
                    tally
                        .failures
                        .push(format!("{beginning:?}, {done:?}, {survivors:?} survives: {failure}"));
                }
                if tally.failures.len() == failures_max {
                    return tally;
                }
            }
        }
    }
    tally
}

async fn assert_all_hold(beginning: Beginning) {
    let Tally { cases, openings, failures } = cut_everywhere(beginning, None, 10).await;
    println!("{beginning:?}: {cases} cases, {openings} directories opened, {} wrong", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // Sequences that begin alike: one of no operation, and so on.
    let firsts: usize = (0..CUTS).map(|done| OPERATIONS.len().pow(done as u32)).sum();
    assert_eq!((cases, openings), (20_480, 20_480 + 2 * firsts));
}

#[tokio::test]
async fn no_power_cut_in_a_new_directory_breaks_a_promise() {
    assert_all_hold(Beginning::New).await;
}

#[tokio::test]
async fn no_power_cut_in_a_used_directory_breaks_a_promise() {
    assert_all_hold(Beginning::Used).await;
}

#[tokio::test]
async fn a_sync_that_is_left_out_is_noticed() {
    for left_out in [
        "sync log",
        "sync_file snapshots",
        "sync_dir snapshots",
        "sync_file state",
        "sync_dir state",
        "flush state",
    ] {
        let tally = cut_everywhere(Beginning::Used, Some(left_out), 1).await;
        println!("without {left_out:?}: {} cases, {:?}", tally.cases, tally.failures);
        assert_eq!(tally.failures.len(), 1, "nothing shows that {left_out:?} was left out");
    }
}
