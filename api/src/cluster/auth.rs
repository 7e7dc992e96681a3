//! `/cluster/v1/auth`: what is asked of callers, and who this one is.

use std::sync::Arc;

use capstan_client::cluster::{AuthChange, AuthStatus, CallerStatus};
use capstan_model::{
    auth::{AuthCommand, Credential, PolicyChange},
    command::Command,
};
use capstan_raft_store::handle::{Committed, Consistency, View};
use http::{HeaderValue, StatusCode};
use serde::de::DeserializeOwned;

use crate::{
    answer::{self, Answer},
    auth,
    call::Head,
    error::{ApiError, InputError},
    headers, read,
    service::Inner,
};

/// `GET …`.
pub(crate) async fn get(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let view = read::view(&api.parts.cluster, head).await?;
    Ok(status(&view, head))
}

/// `PATCH …`: what the body leaves out stays as it is.
pub(crate) async fn change(api: &Inner, head: &Head<'_>, body: &[u8]) -> Result<Answer, ApiError> {
    let AuthChange { required, strict, admin_roles } = json(body)?;
    let admin_roles = admin_roles.map(|roles| roles.into_iter().map(Arc::from).collect());
    let command = AuthCommand::ChangePolicy(PolicyChange { required, strict, admin_roles });
    let options = auth::options(head, body)?;
    let Committed { reply, index } = api.parts.cluster.propose(Command::Auth(command), options).await?;
    reply?;
    let view = api.parts.cluster.read(Consistency::AtLeast(index)).await?;
    Ok(status(&view, head))
}

fn status(view: &View, head: &Head<'_>) -> Answer {
    let (policy, caller) = (view.state().auth.policy(), head.caller());
    let token = match head.by.map(|by| by.credential) {
        Some(Credential::Token(id)) => Some(id.to_string()),
        Some(Credential::None | Credential::Receptor) | None => None,
    };
    let texts = |texts: &[Arc<str>]| texts.iter().map(ToString::to_string).collect();
    let status = AuthStatus {
        required: policy.required,
        strict: policy.strict,
        admin_roles: texts(&policy.admin_roles),
        caller: CallerStatus { name: caller.name.to_string(), roles: texts(&caller.roles), token },
    };
    at_index(answer::json(StatusCode::OK, &status), view.index())
}

/// Reads a body.
///
/// # Errors
/// [`InputError::Body`], which says where.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, InputError> {
    serde_json::from_slice(body).map_err(|error| InputError::Body { reason: format!("the body: {error}") })
}

pub(super) fn at_index(mut answer: Answer, index: u64) -> Answer {
    answer.headers_mut().insert(headers::INDEX, HeaderValue::from(index));
    answer
}
