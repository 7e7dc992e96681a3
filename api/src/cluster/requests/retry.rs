//! `POST /cluster/v1/requests/{id}/retry`: goes on with a finished request.

use std::{sync::Arc, time::Duration};

use capstan_client::cluster::RetryRequest;
use capstan_model::{
    archive,
    auth::{Acl, Operation},
    ids::RequestId,
    rejection::Rejection,
    reply::Answer as Reply,
    workflow::{
        json::{JsonMap, JsonText},
        rerun::{Finished, Rerun},
    },
};
use capstan_raft_store::handle::{CLIENT_DEADLINE, Consistency, ProposeError, ProposeOptions, View};
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
    spin_cycle::create::{self, Rebuilds},
};

/// Stores the request that goes on with a finished one, or answers what it would be, to whom may start such requests.
pub(crate) async fn retry(api: &Inner, head: &Head<'_>, id: &str, sent: &[u8]) -> Result<Answer, ApiError> {
    let started = Instant::now();
    let request = request_id(id)?;
    let RetryRequest { args, preview } = body(sent)?;
    if !preview && create::is_draining(api) {
        return Err(InputError::Draining.into());
    }
    auth::requests::may_change(api, head, Operation::Start, request).await?;
    let idempotency = headers::idempotency(head, sent)?;
    let finished = find(api.parts.cluster.read(Consistency::Linearizable).await?, request).await?;
    let given: JsonMap =
        args.iter().map(|(name, value)| (Arc::from(name.as_str()), JsonText::from(value))).collect();
    let (mut drawn, mut rebuilds) = (None, Rebuilds::default());
    let committed = loop {
        let (rerun, acl) = plan_rerun(api, head, &finished, &given, started).await?;
        if preview {
            return Ok(answer::json(StatusCode::OK, &plan::of_rerun(&finished, &rerun)));
        }
        let deadline = CLIENT_DEADLINE.saturating_sub(started.elapsed()).max(Duration::from_millis(1));
        let options = ProposeOptions { deadline, ..auth::options_for(head, idempotency.clone(), acl) };
        let id = *drawn.get_or_insert_with(|| create::draw_request_id(&api.parts));
        let committed = api.parts.cluster.propose(rerun.into_command(id, head.caller().name), options).await;
        let committed = committed.map_err(|source| not_stored(source, request, id))?;
        if !rebuilds.is_due(&committed) {
            break committed;
        }
    };
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

/// With the args it had the request goes on with its chain; with others the graph is built anew. Beside it what the specs say about who may
/// start it: those that the graph is built from.
async fn plan_rerun(
    api: &Inner,
    head: &Head<'_>,
    finished: &Finished,
    given: &JsonMap,
    started: Instant,
) -> Result<(Rerun, Option<Acl>), ApiError> {
    let (planned, acl) = if finished.has_args(given) {
        let acl = auth::requests::may_change(api, head, Operation::Start, finished.detail.summary.id).await?;
        (finished.rerun(), acl)
    } else {
        let kind = &finished.detail.summary.request_type;
        let in_use = api.specs_in_use(api.parts.cluster.view().state()).await?;
        let acl = auth::requests::may_start(api, head, &in_use.specs, kind)?;
        let args = finished.args_with(given);
        let built = create::build_in_time(&api.parts, in_use, (kind, &args), started).await?;
        (finished.rerun_as(built, given), acl)
    };
    Ok((planned.map_err(|refused| InputError::from(Refusal::from(refused)))?, acl))
}

/// Why a new request was not stored. What goes on with a finished one has its data too, so a smaller body is no way out.
fn not_stored(source: ProposeError, finished: RequestId, drawn: RequestId) -> ApiError {
    match source {
        ProposeError::TooLarge { reason } => {
            InputError::from(Refusal::RetryTooLarge { request: finished, reason }).into()
        }
        source => CreateError { source, location: location(drawn) }.into(),
    }
}

fn location(id: RequestId) -> String {
    format!("/cluster/v1/requests/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_that_fits_no_command_is_told_to_start_anew() {
        let (finished, drawn) = (RequestId([1; 12]), RequestId([2; 12]));
        let reason = "a command of 9000000 bytes; the most is 8388608".to_owned();
        let told = not_stored(ProposeError::TooLarge { reason }, finished, drawn).to_string();
        assert!(told.starts_with(&format!("request {finished} cannot be gone on with")), "{told}");
        assert!(told.ends_with("start a new request"), "{told}");
        assert!(matches!(not_stored(ProposeError::ShuttingDown, finished, drawn), ApiError::Create(_)));
    }
}
