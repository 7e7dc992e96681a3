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

use super::{body, change, error::Refusal, request_id};
use crate::{
    answer::Answer,
    auth,
    call::Head,
    error::{ApiError, InputError},
    headers,
    service::Inner,
};

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
    let Decide { comment } = body(sent)?;
    let view = api.parts.cluster.read(Consistency::Linearizable).await?;
    let Ok(named) = job.parse::<JobId>() else {
        return Err(InputError::from(not_awaiting(view.state(), request, job)).into());
    };
    // The decision is about the try that waits now; apply refuses it about any other. What waits no more is proposed too: a repeat under
    // the same idempotency key is answered as the first call was.
    let live = view.state().requests.get(&request);
    let newest = live.and_then(|live| live.job(named)).map_or(TryNo(0), |(_, job)| job.try_no);
    let command = Command::DecideApproval(DecideApproval {
        request,
        job: named,
        try_no: newest,
        approved,
        by: head.caller().name,
        comment: comment.into(),
    });
    change(api, options, request, command).await
}

/// The refusal of a decision that nobody waits for.
pub(super) fn not_awaiting(state: &State, request: RequestId, job: &str) -> Refusal {
    let live = state.requests.get(&request);
    let awaiting = live.into_iter().flat_map(LiveRequest::awaiting);
    let awaiting = awaiting.map(|awaited| (awaited.spec.id.to_string(), awaited.spec.name.to_string()));
    Refusal::NotAwaiting { request, job: job.chars().take(100).collect(), awaiting: awaiting.collect() }
}
