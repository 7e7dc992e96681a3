//! `POST /cluster/v1/requests/{id}/retry`: goes on with a finished request.

use std::{sync::Arc, time::Duration};

use capstan_client::cluster::RetryRequest;
use capstan_model::{
    archive,
    auth::Operation,
    ids::RequestId,
    rejection::Rejection,
    reply::Answer as Reply,
    workflow::{
        json::{JsonMap, JsonText},
        rerun::{Finished, Rerun},
    },
};
use capstan_raft_store::handle::{CLIENT_DEADLINE, Consistency, ProposeOptions, View};
use http::{HeaderValue, StatusCode, header::LOCATION};
use tokio::time::Instant;

use super::{body, error::Refusal, no_such_request, plan, request_id, show};
use crate::{
    answer::{self, Answer},
    archive::read as read_archive,
    auth,
    call::Head,
    error::{ApiError, CreateError, InputError},
    headers,
    service::Inner,
    spin_cycle::create,
};

/// Stores the request that goes on with a finished one, or answers what it would be, to whom may start such requests.
pub(crate) async fn retry(api: &Inner, head: &Head<'_>, id: &str, sent: &[u8]) -> Result<Answer, ApiError> {
    let started = Instant::now();
    let request = request_id(id)?;
    let RetryRequest { args, preview } = body(sent)?;
    if !preview && create::is_draining(api) {
        return Err(InputError::Draining.into());
    }
    let acl = auth::requests::may_change(api, head, Operation::Start, request).await?;
    let idempotency = headers::idempotency(head, sent)?;
    let finished = find(api.parts.cluster.read(Consistency::Linearizable).await?, request).await?;
    let given: JsonMap =
        args.iter().map(|(name, value)| (Arc::from(name.as_str()), JsonText::from(value))).collect();
    let rerun = plan_rerun(api, &finished, &given).await?;
    if preview {
        return Ok(answer::json(StatusCode::OK, &plan::of_rerun(&finished, &rerun)));
    }
    let drawn = create::draw_request_id(&api.parts);
    let deadline = CLIENT_DEADLINE.saturating_sub(started.elapsed()).max(Duration::from_millis(1));
    let options = ProposeOptions { deadline, ..auth::options_for(head, idempotency, acl) };
    let command = rerun.into_command(drawn, head.caller().name);
    let committed = api.parts.cluster.propose(command, options).await;
    let committed = committed.map_err(|source| CreateError { source, location: location(drawn) })?;
    let new = match committed.reply {
        Ok(Reply::RequestCreated { id, .. }) => id,
        Ok(other) => unreachable!("a creation is answered as one, not {other:?}"),
        Err(Rejection::NotFinished { request }) => {
            return Err(InputError::from(Refusal::NotEnded { request }).into());
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let view = api.parts.cluster.read(Consistency::AtLeast(committed.index)).await?;
    let mut answer = show(view, new, StatusCode::CREATED).await?;
    let location = HeaderValue::try_from(location(new)).expect("a path of ids is legal in a header");
    answer.headers_mut().insert(LOCATION, location);
    Ok(answer)
}

/// A finished request with all that another needs.
async fn find(view: View, request: RequestId) -> Result<Finished, ApiError> {
    if view.state().requests.get(&request).is_some() {
        return Err(InputError::from(Refusal::NotEnded { request }).into());
    }
    let found = read_archive(view, move |view| archive::finished_for_rerun(view, request)).await?;
    Ok(found.ok_or_else(|| no_such_request(&request.to_string()))?)
}

/// With the args it had the request goes on with its chain; with others the graph is built anew.
async fn plan_rerun(api: &Inner, finished: &Finished, given: &JsonMap) -> Result<Rerun, ApiError> {
    let planned = if finished.has_args(given) {
        finished.rerun()
    } else {
        let kind = &finished.detail.summary.request_type;
        let in_use = api.specs_in_use(api.parts.cluster.view().state()).await?;
        let args = finished.args_with(given);
        let built = create::build_in_time(&api.parts, in_use, (kind, &args), Instant::now()).await?;
        finished.rerun_as(built, given)
    };
    Ok(planned.map_err(|refused| InputError::from(Refusal::from(refused)))?)
}

fn location(id: RequestId) -> String {
    format!("/cluster/v1/requests/{id}")
}
