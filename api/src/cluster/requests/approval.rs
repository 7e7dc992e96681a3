//! `POST /cluster/v1/requests/{id}/jobs/{job}/approve` and `/reject`.

use capstan_client::cluster::Decide;
use capstan_model::{
    auth::Operation,
    command::Command,
    ids::{JobId, RequestId, TryNo},
    state::State,
    workflow::{command::DecideApproval, request::LiveRequest},
};
use capstan_raft_store::handle::Consistency;

use super::{body, change, error::Refusal, not_live, request_id};
use crate::{answer::Answer, auth, call::Head, error::ApiError, headers, service::Inner};

/// Ends an approval as the caller decides, who may start such requests.
pub(crate) async fn decide(
    api: &Inner,
    head: &Head<'_>,
    (id, job): (&str, &str),
    approved: bool,
    sent: &[u8],
) -> Result<Answer, ApiError> {
    let request = request_id(id)?;
    let acl = auth::requests::may_change(api, head, Operation::Start, request).await?;
    let options = auth::options_for(head, headers::idempotency(head, sent)?, acl);
    let Decide { comment, try_no } = body(sent)?;
    let view = api.parts.cluster.read(Consistency::Linearizable).await?;
    let live = view.state().requests.get(&request);
    let Ok(named) = job.parse::<JobId>() else {
        let refusal = live.map(|_| not_awaiting(view.state(), request, job).into());
        return Err(match refusal {
            Some(refusal) => refusal,
            None => not_live(view, request).await?,
        }
        .into());
    };
    // The decision is about the try that was looked at, or else the one that waits now; apply refuses it about any other. What waits no
    // more is proposed too: a repeat under the same idempotency key is answered as the first call was.
    let newest = live.and_then(|live| live.job(named)).map_or(TryNo(0), |(_, job)| job.try_no);
    let command = Command::DecideApproval(DecideApproval {
        request,
        job: named,
        try_no: try_no.map_or(newest, TryNo),
        approved,
        by: head.caller().name,
        comment: comment.into(),
    });
    change(api, options, request, command).await
}

/// The refusal of a decision that nobody waits for.
pub(super) fn not_awaiting(state: &State, request: RequestId, job: &str) -> Refusal {
    let job = job.chars().take(100).collect();
    Refusal::NotAwaiting { request, job, awaiting: awaiting(state, request) }
}

/// The refusal of a decision about another try than the one that waits.
pub(super) fn stale_try(state: &State, request: RequestId, job: JobId, named: TryNo) -> Refusal {
    Refusal::StaleTry { request, job, named, awaiting: awaiting(state, request) }
}

/// The approvals that wait, each as it is named.
fn awaiting(state: &State, request: RequestId) -> Vec<String> {
    let awaiting = state.requests.get(&request).into_iter().flat_map(LiveRequest::awaiting);
    awaiting
        .map(|awaited| format!("{} ({}, try {})", awaited.spec.id, awaited.spec.name, awaited.try_no))
        .collect()
}
