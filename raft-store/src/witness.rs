//! Lets the simulator see what a node does to its vote, its log and its state, at the moment it is done. Built for the simulator only.
//!
//! Nothing here is read from the disk or believed: each [`Step`] is told where the product takes it. What a disk really holds the simulator
//! knows itself, and [`entry_key`] says where to look.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
};

use bytes::Bytes;
use capstan_model::rows::RowChange;
use openraft::EntryPayload;

use crate::{
    engine::SyncDone,
    rows, runtime, storage,
    type_config::{LogId, RaftEntry, StoredMembership, Vote},
};

/// What an entry that is about to be applied holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// Commands: the bytes of a `capstan_model::command::Entry`.
    Commands(&'a [u8]),
    /// Nothing for the model but the term of the leader that appended it.
    Blank,
}

/// Names an entry: where it is, and who appended it. A later term is greater, whatever the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The term of the leader that appended it.
    pub term: u64,
    /// Its place in the log.
    pub index: u64,
}

/// A vote as Raft persists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot {
    /// The term.
    pub term: u64,
    /// For whom.
    pub candidate: u64,
    /// Whether a quorum has granted it: then the candidate leads.
    pub committed: bool,
}

/// The voters of a configuration: one set, or the two of a change under way, each of which must agree.
pub type Voters = Vec<BTreeSet<u64>>;

/// An entry as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its name.
    pub at: Position,
    /// The bytes under [`entry_key`].
    pub value: Bytes,
    /// The configuration it brings, if it is a membership.
    pub voters: Option<Voters>,
}

/// Something a node has just done to its storage.
#[derive(Debug)]
pub enum Step<'a> {
    /// It has opened its log in a new life, and made durable what it found.
    LogOpened {
        /// The last entry removed from the front.
        purged: Option<Position>,
        /// The committed position that was written down.
        committed: Option<Position>,
        /// The vote.
        vote: Option<Ballot>,
        /// Every entry.
        rows: &'a [LogRow],
    },
    /// It has brought log and state together and begins to take part.
    Opened {
        /// The last entry in the state.
        applied: Option<Position>,
        /// The log had been durable up to here when the state was written.
        flushed: Option<u64>,
        /// The configuration in the state.
        voters: Voters,
    },
    /// It has written a vote, which is not durable yet.
    VoteWritten(Ballot),
    /// A vote is durable, and others will be told.
    VoteSaved(Ballot),
    /// It has written entries, which are not durable yet; all but the first follow on each other.
    Appended(&'a [LogRow]),
    /// It has cut the log's tail off; what it ends with now.
    Truncated(Option<Position>),
    /// It has removed the log's front up to here.
    Purged(Position),
    /// It has thrown its log away and begins anew behind this.
    Restarted(Position),
    /// It has asked for all it wrote to be made durable.
    SyncAsked(u64),
    /// What it wrote before it asked so is durable, as the disk says.
    SyncDone(u64),
    /// It knows that the log is committed up to here, and is about to apply it.
    Committed(Position),
    /// It is about to apply an entry.
    Applying {
        /// Its name.
        at: Position,
        /// What it holds.
        content: Content<'a>,
    },
    /// It has applied an entry, which changes these rows.
    Applied {
        /// Its index.
        index: u64,
        /// The rows.
        rows: &'a [RowChange],
    },
    /// The rows of all it applied up to here are written, and not durable yet.
    Stored(Position),
    /// A complete snapshot is durable here.
    SnapshotKept {
        /// The last entry in it.
        at: Position,
        /// The checksum it carries.
        checksum: u128,
    },
    /// Its state is that of a snapshot now.
    Installed {
        /// The last entry in it.
        at: Position,
        /// The checksum of the rows as they were read back.
        checksum: u128,
        /// The configuration in it.
        voters: Voters,
    },
}

/// Told of every step, and by which node it is taken.
pub type Witness = Box<dyn Fn(u64, &Step<'_>)>;

thread_local! {
    static WITNESS: RefCell<Option<Witness>> = const { RefCell::new(None) };
    static SYNCS: Cell<u64> = const { Cell::new(0) };
}

/// Tells this witness, and no other, from now on; `None` tells nobody.
pub fn tell(witness: Option<Witness>) {
    WITNESS.set(witness);
}

/// The folder of the log engine.
pub const LOG: &str = storage::LOG;

/// The key of the log entry at an index, in the log engine.
pub fn entry_key(index: u64) -> Bytes {
    rows::entry_key(index)
}

/// The current node has taken a step.
pub(crate) fn saw(step: &Step<'_>) {
    WITNESS.with_borrow(|witness| {
        if let Some(witness) = witness {
            witness(runtime::current(), step);
        }
    });
}

/// The current node asks for a sync; what is returned is to be called in the place of `done`.
pub(crate) fn syncing(done: SyncDone) -> SyncDone {
    let number = SYNCS.get() + 1;
    SYNCS.set(number);
    saw(&Step::SyncAsked(number));
    Box::new(move |result| {
        if result.is_ok() {
            saw(&Step::SyncDone(number));
        }
        done(result);
    })
}

/// An entry and the bytes it is written as.
pub(crate) fn row(entry: &RaftEntry, value: Bytes) -> LogRow {
    let voters = match &entry.payload {
        EntryPayload::Membership(membership) => Some(membership.get_joint_config().clone()),
        EntryPayload::Blank | EntryPayload::Normal(_) => None,
    };
    LogRow { at: position(entry.log_id), value, voters }
}

/// What a state says of who votes.
pub(crate) fn voters(membership: &StoredMembership) -> Voters {
    membership.membership().get_joint_config().clone()
}

/// Names an entry as the simulator does.
pub(crate) fn position(log_id: LogId) -> Position {
    Position { term: **log_id.committed_leader_id(), index: log_id.index() }
}

/// A vote as the simulator knows it.
pub(crate) fn ballot(vote: &Vote) -> Ballot {
    Ballot { term: vote.leader_id.term, candidate: vote.leader_id.voted_for, committed: vote.committed }
}
