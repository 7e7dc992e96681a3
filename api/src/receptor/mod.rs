//! `/v1`: the HTTP surface of Diego's Receptor of November 2015, byte for byte where its clients look.
//!
//! A body is read by `go_json` into a draft (`decode`), checked by `validate` of the model, and proposed. What is answered gets
//! its form in `shapes`. What differs on purpose: every error of a caller is a 4xx and stores nothing, and any node answers.

pub(crate) mod access;
pub(crate) mod actual_lrps;
pub(crate) mod answer;
pub(crate) mod cells;
pub(crate) mod desired_lrps;
pub(crate) mod domains;
pub(crate) mod error;
pub(crate) mod events;
pub(crate) mod logs;
pub(crate) mod route;
pub(crate) mod tasks;
pub(crate) mod version;

mod decode;
mod enforcement;
mod go_json;
mod max_age;
mod page;
mod shapes;
mod tag;

use bytes::Bytes;
use capstan_model::command::Command;
use capstan_raft_store::ports::Entropy;
use http::HeaderValue;

use self::route::Endpoint;
pub(crate) use self::shapes::cell_id;
use crate::{
    answer::Answer,
    auth,
    call::{Head, Surface},
    error::ApiError,
    headers,
    service::Inner,
};

/// Serves one call.
pub(crate) async fn serve(
    api: &Inner,
    endpoint: Endpoint<'_>,
    head: &Head<'_>,
    body: Bytes,
) -> Result<Answer, ApiError> {
    match endpoint {
        Endpoint::CreateDesired => desired_lrps::create(api, head, &body).await,
        Endpoint::ListDesired => desired_lrps::list(api, head).await,
        Endpoint::GetDesired { guid } => desired_lrps::get(api, head, guid).await,
        Endpoint::UpdateDesired { guid } => desired_lrps::update(api, head, guid, &body).await,
        Endpoint::RemoveDesired { guid } => desired_lrps::remove(api, head, guid, &body).await,
        Endpoint::ListActual => actual_lrps::list(api, head).await,
        Endpoint::ListActualOf { guid } => actual_lrps::of_lrp(api, head, guid).await,
        Endpoint::GetActual { guid, index } => actual_lrps::get(api, head, guid, index).await,
        Endpoint::KillActual { guid, index } => actual_lrps::kill(api, head, guid, index, &body).await,
        Endpoint::GetOutput { guid, index } => logs::get(api, head, guid, index).await,
        Endpoint::Events => events::stream(api, head).await,
        Endpoint::ListCells => cells::list(api, head).await,
        Endpoint::ListDomains => domains::list(api, head).await,
        Endpoint::UpsertDomain { domain } => domains::upsert(api, head, domain, &body).await,
        Endpoint::CreateTask => tasks::create(api, head, &body).await,
        Endpoint::ListTasks => tasks::list(api, head).await,
        Endpoint::GetTask { guid } => tasks::get(api, head, guid).await,
        Endpoint::DeleteTask { guid } => tasks::delete(api, head, guid, &body).await,
        Endpoint::CancelTask { guid } => tasks::cancel(api, head, guid, &body).await,
        Endpoint::AuthCookie => Ok(access::cookie(head)),
        Endpoint::Version => Ok(version::version()),
    }
}

/// Proposes a command of a client's. An answer without a body says that it was done; a refusal shows the index at which the state refused.
async fn propose(
    api: &Inner,
    head: &Head<'_>,
    body: &[u8],
    command: Command,
    done: Answer,
) -> Result<Answer, ApiError> {
    let committed = api.parts.cluster.propose(command, auth::options(head, body)?).await?;
    Ok(at_index(
        match committed.reply {
            Ok(_) => done,
            Err(rejection) => ApiError::from(rejection).answer(Surface::Receptor),
        },
        committed.index,
    ))
}

/// The random number from which a command's new epochs are made.
fn draw(entropy: &dyn Entropy) -> u128 {
    u128::from(entropy.u64()) << 64 | u128::from(entropy.u64())
}

fn at_index(mut answer: Answer, index: u64) -> Answer {
    answer.headers_mut().insert(headers::INDEX, HeaderValue::from(index));
    answer
}
