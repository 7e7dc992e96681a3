//! Planted bugs: a simulator is worth what it catches.
//!
//! Those in the simulator's own seams (disk, network, guardian, clients) are looked up here; those inside the product by
//! `capstan_model::mutant!`, which is always false unless built for the simulator.

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
    /// What a node started lives on when the node is gone, and its next life begins beside it.
    LeftoversKept,
    /// A guardian lets processes run past the end of their node's lease.
    LeaseIgnored,
    /// A report is accepted whatever try, epoch and owner it names.
    StaleReportAccepted,
    /// A stop takes back what waits; what becomes runnable later is started.
    StopCheckedAtEnqueue,
    /// A job starts as soon as one of its parents is complete.
    AnyParentSuffices,
    /// A job is tried once more than its spec says.
    RetryOffByOne,
    /// The process of a retry is started before the retry is committed.
    RetryStartedBeforeCommit,
    /// A leader of an earlier term may still declare nodes lost.
    StaleJudgementAccepted,
    /// A node goes on as if its heartbeats were acknowledged when they are not.
    LeaseRenewedUnacknowledged,
    /// A leader goes on acknowledging a life that it is about to declare lost.
    GivenUpAcknowledged,
    /// A leader acknowledges a life that was declared lost.
    LostLifeAcknowledged,
    /// A node reports before what its earlier life left running is dead.
    ReportedBeforeBegun,
    /// Whoever takes a request over goes on under the epoch it had.
    EpochKept,
    /// A node that is drained starts what becomes runnable.
    DrainedNodeStarts,
    /// A drained node's requests are given to others while their jobs run.
    HandedOverWhileRunning,
    /// A sequence is tried once more than its spec says.
    SequenceRetryOffByOne,
    /// One expansion more runs at a time than the spec says.
    ParallelOffByOne,
}

impl Mutant {
    /// Its name inside the product, if it lives there.
    fn in_product(self) -> Option<&'static str> {
        match self {
            Self::ReadIndexSkipped => Some("read-index-skipped"),
            Self::SettledTooEarly => Some("settled-too-early"),
            Self::LeaderRestored => Some("leader-restored"),
            Self::StaleReportAccepted => Some("stale-report-accepted"),
            Self::StopCheckedAtEnqueue => Some("stop-checked-at-enqueue"),
            Self::AnyParentSuffices => Some("any-parent-suffices"),
            Self::RetryOffByOne => Some("retry-off-by-one"),
            Self::RetryStartedBeforeCommit => Some("retry-started-before-commit"),
            Self::StaleJudgementAccepted => Some("stale-judgement-accepted"),
            Self::LeaseRenewedUnacknowledged => Some("lease-renewed-unacknowledged"),
            Self::GivenUpAcknowledged => Some("given-up-acknowledged"),
            Self::LostLifeAcknowledged => Some("lost-life-acknowledged"),
            Self::ReportedBeforeBegun => Some("reported-before-begun"),
            Self::EpochKept => Some("epoch-kept"),
            Self::DrainedNodeStarts => Some("drained-node-starts"),
            Self::HandedOverWhileRunning => Some("handed-over-while-running"),
            Self::SequenceRetryOffByOne => Some("sequence-retry-off-by-one"),
            Self::ParallelOffByOne => Some("parallel-off-by-one"),
            Self::SyncReportedEarly
            | Self::SyncNeverDurable
            | Self::FilesNeverDurable
            | Self::IdempotencyKeyLost
            | Self::LeftoversKept
            | Self::LeaseIgnored => None,
        }
    }
}

/// Plants a bug into every run on this thread from now on; `None` takes it out.
pub fn plant(mutant: Option<Mutant>) {
    PLANTED.set(mutant);
    capstan_model::mutants::plant(mutant.and_then(Mutant::in_product));
}

/// Whether this bug is planted.
pub(crate) fn is_planted(mutant: Mutant) -> bool {
    PLANTED.get() == Some(mutant)
}
