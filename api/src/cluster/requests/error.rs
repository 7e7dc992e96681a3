//! What keeps a request from being changed as asked.

use capstan_model::{
    ids::RequestId,
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
        /// The jobs that do, by id and name.
        awaiting: Vec<(String, String)>,
    },
    /// Only dry runs are made here.
    #[error(
        "POST /api/v1/requests starts a request; here dry_run is needed, as in POST /cluster/v1/requests?dry_run"
    )]
    NotADryRun,
    /// It cannot be gone on with.
    #[error(transparent)]
    Retry(#[from] rerun::Refused),
}

fn waiting(awaiting: &[(String, String)]) -> String {
    if awaiting.is_empty() {
        return "none of its jobs does".to_owned();
    }
    let named: Vec<String> = awaiting.iter().map(|(id, name)| format!("{id} ({name})")).collect();
    format!("these do: {}", named.join(", "))
}
