//! What keeps a request from being changed as asked.

use capstan_model::{
    ids::{JobId, RequestId, TryNo},
    workflow::{request::RequestState, rerun},
};

/// Why, and what would be right.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// It has ended.
    #[error("request {request} has ended as {}: only a request that has not ended can be changed", state.name())]
    Ended {
        /// Which.
        request: RequestId,
        /// How.
        state: RequestState,
    },
    /// Only what has ended can be gone on with.
    #[error("request {request} has not ended: wait for it, or stop it, then retry")]
    NotEnded {
        /// Which.
        request: RequestId,
    },
    /// The job waits for nobody.
    #[error("job {job} of request {request} does not wait for a decision; {}", waiting(.awaiting))]
    NotAwaiting {
        /// The request.
        request: RequestId,
        /// The job, as sent.
        job: String,
        /// The jobs that do, by id, name and try.
        awaiting: Vec<String>,
    },
    /// Another try of the job waits.
    #[error("try {named} of job {job} of request {request} does not wait for a decision; {}", waiting(.awaiting))]
    StaleTry {
        /// The request.
        request: RequestId,
        /// The job.
        job: JobId,
        /// The try, as sent.
        named: TryNo,
        /// The jobs that do wait, by id, name and try.
        awaiting: Vec<String>,
    },
    /// Only dry runs are made here.
    #[error(
        "POST /api/v1/requests starts a request; here dry_run is needed, as in POST /cluster/v1/requests?dry_run"
    )]
    NotADryRun,
    /// Its jobs and their data are too much for one command.
    #[error("request {request} cannot be gone on with: {reason}; start a new request")]
    RetryTooLarge {
        /// Which.
        request: RequestId,
        /// How much, and the bound.
        reason: String,
    },
    /// It cannot be gone on with.
    #[error(transparent)]
    Retry(#[from] rerun::Refused),
}

fn waiting(awaiting: &[String]) -> String {
    if awaiting.is_empty() {
        "none of its jobs does".to_owned()
    } else {
        format!("these do: {}", awaiting.join(", "))
    }
}
