//! `/cluster/v1/requests`: what requests have beyond Spin Cycle.

pub(crate) mod approval;
pub(crate) mod dry_run;
pub(crate) mod error;
pub(crate) mod pause;
pub(crate) mod retry;

mod plan;
mod shapes;

use capstan_model::{
    archive, command::Command, ids::RequestId, rejection::Rejection, reply::Answer as Reply,
};
use capstan_raft_store::handle::{Consistency, ProposeOptions, View};
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;

use self::error::Refusal;
use crate::{
    answer::{self, Answer},
    archive::read as read_archive,
    call::Head,
    error::{ApiError, InputError},
    headers, read,
    service::Inner,
};

/// `GET …/{id}`.
pub(crate) async fn get(api: &Inner, head: &Head<'_>, id: &str) -> Result<Answer, ApiError> {
    let request = request_id(id)?;
    let view = read::view(&api.parts.cluster, head).await?;
    show(view, request, StatusCode::OK).await
}

/// The answer that shows a request as a view has it.
async fn show(view: View, request: RequestId, status: StatusCode) -> Result<Answer, ApiError> {
    let index = view.index();
    let found = read_archive(view, move |view| {
        let Some(detail) = archive::request(view.state(), view, request)? else { return Ok(None) };
        let beyond = archive::beyond(view.state(), view, request)?;
        Ok(Some(shapes::detail(&detail, &beyond, view.state().requests.get(&request))))
    });
    let detail = found.await?.ok_or_else(|| no_such_request(&request.to_string()))?;
    let mut answer = answer::json(status, &detail);
    answer.headers_mut().insert(headers::INDEX, HeaderValue::from(index));
    Ok(answer)
}

/// Has a command about a live request committed, and answers with the request as it is then. Of a finished one it says so.
async fn change(
    api: &Inner,
    options: ProposeOptions,
    request: RequestId,
    command: Command,
) -> Result<Answer, ApiError> {
    let committed = api.parts.cluster.propose(command, options).await?;
    let view = api.parts.cluster.read(Consistency::AtLeast(committed.index)).await?;
    match committed.reply {
        Ok(Reply::Done) => show(view, request, StatusCode::OK).await,
        Ok(other) => unreachable!("a change of a request is answered with nothing, not {other:?}"),
        Err(Rejection::NotAwaiting { job, .. } | Rejection::NoSuchJob { job, .. }) => {
            Err(InputError::from(approval::not_awaiting(view.state(), request, &job.to_string())).into())
        }
        Err(Rejection::StaleTry { job, named, .. }) => {
            Err(InputError::from(approval::stale_try(view.state(), request, job, named)).into())
        }
        Err(Rejection::NotLive { .. }) => Err(not_live(view, request).await?.into()),
        Err(refusal) => Err(refusal.into()),
    }
}

/// Why a request is not live: it has ended, or nobody knows it.
async fn not_live(view: View, request: RequestId) -> Result<InputError, ApiError> {
    let finished = read_archive(view, move |view| archive::finished_request(view, request)).await?;
    Ok(match finished {
        Some(detail) => Refusal::Ended { request, state: detail.summary.state }.into(),
        None => no_such_request(&request.to_string()),
    })
}

/// Reads a body that may be left out.
fn body<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, InputError> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|e| InputError::Body { reason: format!("the body: {e}") })
}

/// The id a path names. What is no id is the id of no request.
fn request_id(segment: &str) -> Result<RequestId, InputError> {
    segment.parse().map_err(|_| no_such_request(segment))
}

fn no_such_request(segment: &str) -> InputError {
    InputError::NoSuchRequest { id: segment.chars().take(100).collect() }
}
