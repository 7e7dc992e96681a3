//! `GET /api/v1/requests/{id}` and what else is asked of one request.

use capstan_model::workflow::view::RequestDetail;
use capstan_raft_store::handle::View;
use http::{HeaderValue, StatusCode};

use super::{archive, json, no_such_request, request_id, shapes};
use crate::{
    answer::Answer,
    call::{Head, Surface},
    error::{ApiError, InputError},
    headers, read,
    service::Inner,
};

/// The request with its args and its chain.
pub(crate) async fn get(api: &Inner, head: &Head<'_>, id: &str) -> Result<Answer, ApiError> {
    let (view, detail) = look(api, head, id).await?;
    Ok(match detail {
        Some(detail) => {
            let mut answer = answer(head, &view, &shapes::detail(&detail, &view.state().nodes));
            headers::name_specs(answer.headers_mut(), detail.created.specs);
            answer
        }
        None => missing(&view, id),
    })
}

/// `…/job-chain`: the chain alone.
pub(crate) async fn job_chain(api: &Inner, head: &Head<'_>, id: &str) -> Result<Answer, ApiError> {
    let (view, detail) = look(api, head, id).await?;
    Ok(match detail {
        Some(detail) => answer(head, &view, &shapes::chain(&detail)),
        None => missing(&view, id),
    })
}

/// `PUT …/start`, which upstream's own parts use among themselves.
pub(crate) async fn start(api: &Inner, head: &Head<'_>, id: &str) -> Result<Answer, ApiError> {
    let (view, detail) = look(api, head, id).await?;
    let Some(detail) = detail else { return Ok(missing(&view, id)) };
    Err(InputError::NotStartable { state: detail.summary.state.name() }.into())
}

/// An answer that shows a view.
pub(super) fn answer(head: &Head<'_>, view: &View, body: &impl serde::Serialize) -> Answer {
    let mut answer = json::answer(StatusCode::OK, body, json::Layout::of(head));
    answer.headers_mut().insert(headers::INDEX, HeaderValue::from(view.index()));
    answer
}

/// A request as a view has it, if it does.
async fn look(api: &Inner, head: &Head<'_>, id: &str) -> Result<(View, Option<RequestDetail>), ApiError> {
    let request = request_id(id)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let detail = archive::request(view.clone(), request).await?;
    Ok((view, detail))
}

/// The answer that a view has no such request. By the time of the answer the node may have gone on to one that has.
fn missing(view: &View, id: &str) -> Answer {
    let mut answer = ApiError::from(no_such_request(id)).answer(Surface::SpinCycle);
    answer.headers_mut().insert(headers::INDEX, HeaderValue::from(view.index()));
    answer
}
