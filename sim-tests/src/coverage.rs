//! What a sweep must have seen: a check of something that never happens shows nothing.
//!
//! Places in the product are marked by `sometimes!` and `buggify!`, those in the simulator likewise; each kind of fault is one too.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{faults, probes::Counts};

/// A sweep of fewer seeds is not judged.
pub const JUDGED_FROM: u64 = 400;
/// What is seen in less than one of a hundred and fifty seeds may be demanded of sweeps from this size on only.
const RARE_JUDGED_FROM: u64 = 5_000;
const RARE: &[&str] = &[
    "a caller may not do any more what his command asks for",
    "a life is heard just before it is given up",
    "a silent cell is heard again before all on it is replaced",
    "a stale read misses the end of a request",
    "an evacuating copy crashes",
    "install: not adopted",
    "install: not live",
    "purge: not written",
    "truncation: not durable",
];

/// How often something happened in a sweep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reached {
    /// In how many seeds.
    pub seeds: u64,
    /// How many times in all of them.
    pub times: u64,
}

/// What a sweep has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Coverage {
    reached: BTreeMap<&'static str, Reached>,
}

/// Everything that is expected, and nothing of it seen.
impl Default for Coverage {
    fn default() -> Self {
        let names = EXPECTED.iter().copied().chain(faults::names());
        Self { reached: names.map(|name| (name, Reached::default())).collect() }
    }
}

impl Coverage {
    /// Adds what a run has seen.
    pub fn add(&mut self, counts: &Counts) {
        for (name, times) in counts {
            let reached = self.reached.entry(name).or_default();
            reached.seeds += 1;
            reached.times += times;
        }
    }

    /// What was expected or seen, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Reached)> {
        self.reached.iter().map(|(name, reached)| (*name, *reached))
    }

    /// What was never seen in so many seeds, and should have been.
    pub fn missed(&self, seeds: u64) -> Vec<&'static str> {
        let is_due = |name: &str| seeds >= RARE_JUDGED_FROM || !RARE.contains(&name);
        self.iter()
            .filter(|(name, reached)| reached.times == 0 && is_due(name))
            .map(|(name, _)| name)
            .collect()
    }

    /// What was seen and nobody expected: it belongs into the list, or it would not be missed.
    pub fn unexpected(&self) -> Vec<&'static str> {
        let names: Vec<&str> = EXPECTED.iter().copied().chain(faults::names()).collect();
        self.iter().map(|(name, _)| name).filter(|name| !names.contains(name)).collect()
    }
}

/// What every large sweep must see, beside every kind of fault.
const EXPECTED: &[&str] = &[
    "a bridge between two halves must serve",
    "batch given up before it was appended",
    "client refused because a disk is nearly full",
    "connection broke under calls",
    "damaged value detected",
    "disk has room again",
    "entries of a deposed leader truncated",
    "forwarded batch had no answer",
    "forwarded batch not applied within its deadline",
    "hello refused at an address of someone else",
    "leader deposed with a forwarded batch in flight",
    "leader deposed with a proposal in flight",
    "leadership handed away",
    "log purged past its end",
    "log purged to its tip",
    "node of another cluster refused",
    "power cut took batches that were not synced",
    "power cut tore a file",
    "pre-vote denied",
    "restored directory refused by its boot count",
    "state taken from a snapshot at the start",
    "two candidates in one term",
    "undecodable raft message refused",
    "unfinished snapshot replaced by another",
    "unreadable row met",
    "what was done was asked for again later",
    "wiped directory refused under its node id",
    "a batch comes to a node that leads no more",
    "a call comes twice and has its first answer",
    "a call in doubt is answered when it is sent again",
    "a call through two nodes at once is answered by both",
    "a client's command in doubt is kept when others are refused",
    "a command comes after its session ended or has settled it",
    "a command comes twice and has its first reply",
    "a command is answered by an installed snapshot",
    "a command is given up and nobody knows what became of it",
    "a command is given up before it left",
    "a command that was sent in doubt turns out to be committed",
    "a lease ends while processes run",
    "a life is heard just before it is given up",
    "a life reports after it was declared lost",
    "a life reports while it is being declared lost",
    "a living node hands a request over",
    "a machine stands still while processes run on it",
    "a new life waits for what an earlier one left",
    "a node does not start, for its guardian cannot be made",
    "a node goes on with what it could not start while it was drained",
    "a node is gone while its processes run",
    "a node joins anew before it is missed",
    "a node leaves before it has handed everything over",
    "a node that was lost joins anew",
    "a process is asked for without a lease",
    "a process is told to stop",
    "a process outlives its grace",
    "a proposer waits for its node to be admitted",
    "a read does not reach its index",
    "a read round fails",
    "a report goes out again after a snapshot was installed",
    "a report is refused",
    "a request finds nobody to run it",
    "a request is stopped twice",
    "a result comes twice",
    "a retry is woken that is not due",
    "a second leader declares a life lost",
    "a sequence is tried again by another node than began it",
    "a stale read misses a request that was acknowledged",
    "a stale read misses the end of a request",
    "a start is refused for a passing reason",
    "a stop ends a request of which nothing runs",
    "a stop finds tries that run",
    "a takeover ends tries that ran",
    "a takeover finds no try that ran",
    "a try ends while its node is drained",
    "a try is stopped before it is started",
    "a try is taken away while it runs",
    "a wait is told to stop",
    "an idempotency key may be forgotten during a run",
    "ends of processes are missed",
    "no majority hears a node that leaves",
    "no other voter is fit to lead",
    "nobody can take a request over",
    "the report of a try finds no leader",
    "the report of a try is refused",
    "two nodes take themselves for the leader",
    "what comes from a life that owns the request no longer is fenced",
    "what comes from before a takeover is fenced",
    "what names an earlier try is refused",
    "buggify: a batch leaves before it is full",
    "buggify: a batch leaves late",
    "buggify: a batch that came back goes out late",
    "buggify: a batch that was taken is sent again",
    "buggify: a call is taken up late",
    "buggify: a change of leadership is noticed late",
    "buggify: a chunk of a snapshot is small",
    "buggify: a hint is lost",
    "buggify: a hint is told twice",
    "buggify: a hint names no request",
    "buggify: a leader doubts that a quorum hears it",
    "buggify: a leader has no room for its own clients",
    "buggify: a leader takes no batch of its own",
    "buggify: a lease reaches the executor late",
    "buggify: a read has a round to itself",
    "buggify: a read of the log ends early",
    "buggify: a read round begins late",
    "buggify: a reader wakes up late",
    "buggify: a report is early",
    "buggify: a report is late",
    "buggify: a retry is woken early",
    "buggify: a retry is woken late",
    "buggify: a session is settled late",
    "buggify: a snapshot is not prepared",
    "buggify: a snapshot is taken early",
    "buggify: a snapshot is taken late",
    "buggify: a start is put off",
    "buggify: an answer leaves late",
    "buggify: apply is slow",
    "buggify: ends of processes are heard late",
    "buggify: entries are applied one by one",
    "buggify: entries wait for the one in flight",
    "buggify: liveness does not look",
    "buggify: one append is under way",
    "buggify: one batch makes an entry",
    "buggify: the cache of the log misses",
    "buggify: the report of a try is late",
    "a call about an LRP in doubt is answered when it is sent again",
    "a callback is to be called again",
    "a cell announces itself while its node is drained",
    "a cell ends what it is to run no more",
    "a cell was given what is to be stopped before it was started",
    "a domain expires",
    "a domain is fresh for longer before it expires",
    "a lost cell's evacuating copy is given up",
    "a lost cell's instance is replaced",
    "a node is gone while instances run on it",
    "a placement comes too late for its index",
    "a placement finds its cell full or gone",
    "a report names an instance that is not current",
    "a report of a cell finds no leader",
    "a report of a cell is refused",
    "a silent cell is heard again after all on it was replaced",
    "a silent cell is heard again before all on it is replaced",
    "a task finds no cell",
    "a task is cancelled while a cell does it",
    "an LRP has another tag than its owner asks for",
    "an LRP is removed while an index evacuates",
    "an evacuating copy crashes",
    "an evacuating copy goes when another one runs",
    "an evacuating copy outlives its cell's drain",
    "an index finds no cell",
    "an index is stopped that runs nowhere",
    "an instance cannot start a process",
    "an instance ends by itself when it is to be stopped",
    "an instance ignores that it is told to end",
    "an instance is evacuated before it runs",
    "an instance is evacuated while it runs",
    "an instance is started again after its wait",
    "an instance waits after a crash",
    "the cell of a task is lost",
    "the report of a task comes too late",
    "a cursor is below the floor",
    "a reader is so late that its next events are gone",
    "a stream begins far behind what its node has",
    "a stream goes on at another node",
    "a stream goes on in the middle of an entry",
    "a stream has gone silent",
    "a stream is broken off because its node is drained or leaves",
    "a stream is broken off because its node is out of touch",
    "a stream is to go on behind an event that its node has not seen",
    "a stream that does not move is cut off",
    "an event is told that came with a snapshot",
    "nothing that was read is to be shown",
    "old events are removed",
    "the connection of a stream is reset",
    "buggify: few events are read at a time",
    "buggify: old events are looked for early",
    "buggify: a convergence is put off",
    "a decision comes too late",
    "a paused request changes its owner",
    "a request goes on with what was complete",
    "a request is out of time",
    "a request is paused while its jobs run",
    "a request that is resumed has something to start",
    "a try is out of time",
    "an approval is decided in a paused request",
    "an approval is rejected",
    "an approval waits while its request changes its owner",
    "nobody decides an approval in time",
    "a caller is known and may not do this",
    "a node denies what it has not heard of yet",
    "a caller is nobody any more when his command is applied",
    "a caller is nobody whom the cluster knows",
    "a caller may not do any more what his command asks for",
    "a list is read by pages while requests are trimmed",
    "a push finds other specs than its sender saw",
    "a request is built again, because other specs are in use",
    "a request is asked for that has been trimmed",
    "a request is built from a directory when the cluster has specs",
    "a version of the specs has the content of an older one",
    "an old version of the specs is dropped",
    "another node was first to give the cluster its specs",
    "what is to be trimmed is gone already",
];
