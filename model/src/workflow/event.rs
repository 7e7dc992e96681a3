//! What happens to requests. Handlers decide on events; [`super::LiveRequests`] evolves by them and by
//! nothing else.

use std::sync::Arc;

use super::{
    chain::JobPlace,
    command::{CreateRequest, TryReport},
    request::RequestState,
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
    /// Its owner is gone, and no node can go on.
    RequestSuspended {
        /// Which.
        request: RequestId,
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
    /// A stop took back a job that had not started again.
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
}

impl WorkflowEvent {
    /// The request it happened to.
    pub fn request(&self) -> RequestId {
        match self {
            Self::RequestCreated { request, .. } => request.id,
            Self::RequestOwned { request, .. }
            | Self::RequestSuspended { request }
            | Self::JobReady { request, .. }
            | Self::TryStarted { request, .. }
            | Self::JobWithdrawn { request, .. }
            | Self::RequestStopped { request, .. }
            | Self::RequestEnded { request, .. } => *request,
            Self::TryEnded(ended) => ended.request,
        }
    }
}
