//! `/cluster/v1/variables`: named values, the plain write and read of the cluster.

use bytes::Bytes;
use capstan_client::cluster::{VariableEntry, VariableList, VariablePut};
use capstan_model::{command::Command, ids::VariableName, reply::Answer as Reply};
use capstan_raft_store::handle::Committed;
use http::{HeaderValue, StatusCode, header::ETAG};

use super::at_index;
use crate::{
    answer::{self, Answer},
    auth,
    call::{Head, Surface, decode_segment},
    error::{ApiError, InputError},
    headers, query, read,
    service::Inner,
};

/// The most variables of one page, and how many one has when the caller does not say. A larger limit is as good as this one: `next`
/// tells that more follow.
const PAGE_MAX: usize = 1_000;
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// `PUT …/{name}`: the body is the value.
pub(crate) async fn put(api: &Inner, head: &Head<'_>, name: &str, body: Bytes) -> Result<Answer, ApiError> {
    let (name, condition) = (variable_name(name)?, headers::condition(head.headers)?);
    let options = auth::options(head, &body)?;
    let command = Command::PutVariable { name: name.clone(), value: body, condition };
    let Committed { reply, index } = api.parts.cluster.propose(command, options).await?;
    let reply = match reply {
        Ok(reply) => reply,
        Err(rejection) => return Ok(refused(rejection, index)),
    };
    let Reply::VariablePut { revision, created } = reply else { unreachable!("a put is answered as one") };
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let mut answer = answer::json(status, &VariablePut { name: name.as_str().to_owned(), revision });
    answer.headers_mut().insert(ETAG, headers::etag(revision));
    Ok(at_index(answer, index))
}

/// `GET …/{name}`: the bytes as they were put.
pub(crate) async fn get(api: &Inner, head: &Head<'_>, name: &str) -> Result<Answer, ApiError> {
    let name = variable_name(name)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let Some(variable) = view.state().variables.get(&name) else {
        let missing = InputError::NoSuchVariable { name: name.as_str().to_owned() };
        return Ok(refused(missing, view.index()));
    };
    let mut answer = answer::with_body(StatusCode::OK, OCTETS, variable.value.clone());
    answer.headers_mut().insert(ETAG, headers::etag(variable.revision));
    Ok(at_index(answer, view.index()))
}

/// `DELETE …/{name}`.
pub(crate) async fn delete(api: &Inner, head: &Head<'_>, name: &str) -> Result<Answer, ApiError> {
    let (name, condition) = (variable_name(name)?, headers::condition(head.headers)?);
    let options = auth::options(head, b"")?;
    let command = Command::DeleteVariable { name, condition };
    let Committed { reply, index } = api.parts.cluster.propose(command, options).await?;
    Ok(match reply {
        Ok(_) => at_index(answer::empty(StatusCode::NO_CONTENT), index),
        Err(rejection) => refused(rejection, index),
    })
}

/// `GET …?prefix=&after=&limit=`.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let limit = query::limit(head.query, PAGE_MAX)?;
    let prefix = query::first(head.query, "prefix").unwrap_or_default();
    let after = query::first(head.query, "after");
    let view = read::view(&api.parts.cluster, head).await?;
    let page = view.state().variables.list(&prefix, after.as_deref(), limit);
    let entry = |(name, variable): &(&VariableName, &capstan_model::variables::Variable)| VariableEntry {
        name: name.as_str().to_owned(),
        revision: variable.revision,
        size: variable.value.len() as u64,
    };
    let list = VariableList {
        variables: page.variables.iter().map(entry).collect(),
        next: page.next.map(|name| name.as_str().to_owned()),
    };
    Ok(at_index(answer::json(StatusCode::OK, &list), view.index()))
}

fn variable_name(segment: &str) -> Result<VariableName, InputError> {
    Ok(decode_segment(segment)?.parse()?)
}

/// What the state at this index refuses. By the time of the answer the node may have gone on to one that would not.
fn refused(error: impl Into<ApiError>, index: u64) -> Answer {
    at_index(error.into().answer(Surface::Cluster), index)
}
