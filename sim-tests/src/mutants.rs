//! Planted bugs: a simulator is worth what it catches.
//!
//! Those in the simulator's own seams (disk, network, clients) are looked up here; those inside the store by
//! `capstan_raft_store::mutants`, which exists only when built for the simulator.

use std::cell::Cell;

use clap::ValueEnum;

thread_local! {
    static PLANTED: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// A planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Mutant {
    /// The disk reports a sync at once; the data becomes durable a little later.
    SyncReportedEarly,
    /// The disk reports syncs and makes nothing durable.
    SyncNeverDurable,
    /// Syncs of files and folders do nothing.
    FilesNeverDurable,
    /// `Idempotency-Key` is lost on the way to the node.
    IdempotencyKeyLost,
    /// A read index is answered without asking a quorum.
    ReadIndexSkipped,
    /// A proposer declares commands settled whose replies it still waits for.
    SettledTooEarly,
    /// A leader resumes its term after a restart without a vote.
    LeaderRestored,
}

impl Mutant {
    /// Its name inside the store, if it lives there.
    fn in_store(self) -> Option<&'static str> {
        match self {
            Self::ReadIndexSkipped => Some("read-index-skipped"),
            Self::SettledTooEarly => Some("settled-too-early"),
            Self::LeaderRestored => Some("leader-restored"),
            Self::SyncReportedEarly
            | Self::SyncNeverDurable
            | Self::FilesNeverDurable
            | Self::IdempotencyKeyLost => None,
        }
    }
}

/// Plants a bug into every run on this thread from now on; `None` takes it out.
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
    capstan_raft_store::mutants::plant(mutant.and_then(Mutant::in_store));
}

/// Whether this bug is planted.
pub(crate) fn is_planted(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}
