//! `POST /cluster/v1/requests/{id}/jobs/{job}/approve` and `/reject`.

use capstan_client::cluster::Decide;
use capstan_model::{
    command::Command,
    ids::{JobId, RequestId},
    workflow::{command::DecideApproval, request::LiveRequest},
};
use capstan_raft_store::handle::Consistency;

use super::{body, caller, change, error::Refusal, not_live, request_id};
use crate::{answer::Answer, call::Head, error::ApiError, service::Inner};

/// Ends an approval as the caller decides.
pub(crate) async fn decide(
    api: &Inner,
    head: &Head<'_>,
    (id, job): (&str, &str),
    approved: bool,
    sent: &[u8],
) -> Result<Answer, ApiError> {
    let request = request_id(id)?;
    let Decide { comment } = body(sent)?;
    // The decision is about the try that waits now; apply refuses it about any other.
    let view = api.parts.cluster.read(Consistency::Linearizable).await?;
    let Some(live) = view.state().requests.get(&request) else {
        return Err(not_live(view, request).await?.into());
    };
    let named: Option<JobId> = job.parse().ok();
    let awaited = live.awaiting().find(|awaited| Some(awaited.spec.id) == named);
    let Some(awaited) = awaited else { return Err(ApiError::Input(not_awaiting(request, live, job).into())) };
    let command = Command::DecideApproval(DecideApproval {
        request,
        job: awaited.spec.id,
        try_no: awaited.try_no,
        approved,
        by: caller(head),
        comment: comment.into(),
    });
    change(api, head, sent, request, command).await
}

fn not_awaiting(request: RequestId, live: &LiveRequest, job: &str) -> Refusal {
    let awaiting =
        live.awaiting().map(|awaited| (awaited.spec.id.to_string(), awaited.spec.name.to_string()));
    Refusal::NotAwaiting { request, job: job.chars().take(100).collect(), awaiting: awaiting.collect() }
}
