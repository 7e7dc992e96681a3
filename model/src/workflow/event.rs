//! What happens to requests. Handlers decide on events; [`super::LiveRequests`] evolves by them and by
//! nothing else.

use std::sync::Arc;

use super::{
    approval::Decision,
    chain::{JobPlace, SequencePlace},
    command::{CreateRequest, TryReport},
    parallel::ParallelPlace,
    request::RequestState,
    terms::{JobData, Terms},
};
use crate::{
    ids::{Incarnation, RequestId, TryNo},
    time::Timestamp,
};

/// One thing that happened to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkflowEvent {
    /// A request was stored; nothing of it runs yet.
    RequestCreated {
        /// What was stored.
        request: Arc<CreateRequest>,
        /// What it has beyond Spin Cycle.
        terms: Arc<Terms>,
        /// What its jobs begin with.
        data: Arc<JobData>,
        /// When.
        at: Timestamp,
    },
    /// A node owns the request from now on, under the next epoch.
    RequestOwned {
        /// Which.
        request: RequestId,
        /// The life that owns it.
        owner: Incarnation,
        /// When.
        at: Timestamp,
    },
    /// Its owner is gone or hands it over; until another goes on it has none.
    RequestSuspended {
        /// Which.
        request: RequestId,
        /// When.
        at: Timestamp,
    },
    /// A job is runnable, and waits for a free slot of the owner.
    JobReady {
        /// Whose.
        request: RequestId,
        /// Which.
        job: JobPlace,
    },
    /// The owner is to run the job: the write-ahead intent.
    TryStarted {
        /// Whose.
        request: RequestId,
        /// Which.
        job: JobPlace,
        /// The new try.
        try_no: TryNo,
        /// When, in log time.
        at: Timestamp,
    },
    /// A try ended.
    TryEnded(Box<EndedTry>),
    /// Some more expansions may start.
    ExpansionsAdmitted {
        /// Whose.
        request: RequestId,
        /// Which.
        parallel: ParallelPlace,
        /// How many may, counted from the first.
        admitted: u32,
    },
    /// An expansion failed for good; no further one may start.
    ParallelClosed {
        /// Whose.
        request: RequestId,
        /// Which.
        parallel: ParallelPlace,
    },
    /// A job of a sequence failed for good, and the sequence is to be tried again: nothing of it starts any more, and
    /// what waits to start is taken back.
    SequenceFailed {
        /// Whose.
        request: RequestId,
        /// Which.
        sequence: SequencePlace,
    },
    /// A failed sequence of which nothing runs any more is as if it had not begun, with all it encloses.
    SequenceReset {
        /// Whose.
        request: RequestId,
        /// Which.
        sequence: SequencePlace,
        /// When its first job may start; `None` is at once.
        retry_at: Option<Timestamp>,
    },
    /// A stop took back a job that had not started again, or was to be reset with its sequence.
    JobWithdrawn {
        /// Whose.
        request: RequestId,
        /// Which.
        job: JobPlace,
    },
    /// A user stopped the request.
    RequestStopped {
        /// Which.
        request: RequestId,
        /// When.
        at: Timestamp,
    },
    /// A user lets nothing of the request start.
    RequestPaused {
        /// Which.
        request: RequestId,
        /// Who; empty without auth.
        by: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// A user lets it go on.
    RequestResumed {
        /// Which.
        request: RequestId,
        /// Who; empty without auth.
        by: Arc<str>,
    },
    /// The request is out of time, and stopped for that.
    RequestTimedOut {
        /// Which.
        request: RequestId,
        /// When.
        at: Timestamp,
    },
    /// A try is out of time: its owner is to stop it.
    TryOverdue {
        /// Whose.
        request: RequestId,
        /// Which.
        job: JobPlace,
    },
    /// Somebody decided about an approval; the end of its try follows.
    ApprovalDecided {
        /// Whose.
        request: RequestId,
        /// Which.
        job: JobPlace,
        /// Its try.
        try_no: TryNo,
        /// What.
        decision: Arc<Decision>,
    },
    /// The request ended, and left State for the archive.
    RequestEnded {
        /// Which.
        request: RequestId,
        /// How.
        state: RequestState,
        /// When.
        at: Timestamp,
    },
}

/// The end of a try, and what follows from it.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedTry {
    /// Whose.
    pub request: RequestId,
    /// Which.
    pub job: JobPlace,
    /// Which try; for a `noop`, which starts and ends in one step, the one after its newest.
    pub try_no: TryNo,
    /// How it went, as it is logged.
    pub report: TryReport,
    /// What becomes of the job.
    pub then: AfterTry,
}

/// What becomes of a job whose try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterTry {
    /// It is complete, and hands its data on.
    Complete,
    /// It failed for good.
    Failed,
    /// It is stopped.
    Stopped,
    /// It is tried again after a wait.
    RetryAt(Timestamp),
    /// It is tried again at once.
    RetryNow,
    /// It was stopped only because its node is being drained: it runs again on another, and nothing is counted.
    Resumed,
    /// It was lost with its node and may be run again: it does, and only that is counted.
    RunAgain,
}

impl WorkflowEvent {
    /// The request it happened to.
    pub fn request(&self) -> RequestId {
        match self {
            Self::RequestCreated { request, .. } => request.id,
            Self::RequestOwned { request, .. }
            | Self::RequestSuspended { request, .. }
            | Self::JobReady { request, .. }
            | Self::TryStarted { request, .. }
            | Self::ExpansionsAdmitted { request, .. }
            | Self::ParallelClosed { request, .. }
            | Self::SequenceFailed { request, .. }
            | Self::SequenceReset { request, .. }
            | Self::JobWithdrawn { request, .. }
            | Self::RequestStopped { request, .. }
            | Self::RequestPaused { request, .. }
            | Self::RequestResumed { request, .. }
            | Self::RequestTimedOut { request, .. }
            | Self::TryOverdue { request, .. }
            | Self::ApprovalDecided { request, .. }
            | Self::RequestEnded { request, .. } => *request,
            Self::TryEnded(ended) => ended.request,
        }
    }
}
