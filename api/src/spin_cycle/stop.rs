//! `PUT /api/v1/requests/{id}/stop`: the stop is committed, and its end waited for a while.

use std::time::Duration;

use capstan_model::{
    auth::Operation, command::Command, ids::RequestId, rejection::Rejection, reply::Answer as Reply,
    workflow::command::StopRequest,
};
use capstan_raft_store::handle::{ClusterHandle, Committed, Consistency};
use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::{archive, no_such_request, request_id};
use crate::{
    answer::{self, Answer},
    auth,
    call::Head,
    error::ApiError,
    headers,
    service::Inner,
};

/// How long after the call the answer comes at the latest; the stop goes on. Less than the five seconds `spinc` waits.
const STOP_WAIT_MAX: Duration = Duration::from_secs(3);

/// Stops a request; one that has ended is left as it is.
pub(crate) async fn stop(api: &Inner, head: &Head<'_>, id: &str) -> Result<Answer, ApiError> {
    let answer_by = Instant::now() + STOP_WAIT_MAX;
    let (cluster, request) = (&api.parts.cluster, request_id(id)?);
    let acl = auth::requests::may_change(api, head, Operation::Stop, request).await?;
    let options = auth::options_for(head, headers::idempotency(head, b"")?, acl);
    let Committed { reply, index } =
        cluster.propose(Command::StopRequest(StopRequest { request }), options).await?;
    match reply {
        Ok(Reply::RequestStopping { ended: true }) => {}
        Ok(_) => {
            // Past its patience the caller is told the same: the stop is committed.
            let _ = timeout_at(answer_by, ended(cluster, request)).await;
        }
        Err(Rejection::NotLive { .. }) if !capstan_model::mutant!("stop-of-ended-refused") => {
            let view = cluster.read(Consistency::AtLeast(index)).await?;
            archive::request(view, request).await?.ok_or_else(|| no_such_request(id))?;
        }
        Err(refusal) => return Err(refusal.into()),
    }
    Ok(answer::empty(StatusCode::OK))
}

/// Returns once the request is no longer live, or the node is stopping.
async fn ended(cluster: &ClusterHandle, request: RequestId) {
    let mut applied = cluster.watch();
    while cluster.view().state().requests.get(&request).is_some() {
        if applied.changed().await.is_err() {
            return;
        }
    }
}
