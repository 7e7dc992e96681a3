//! `/v1/tasks`.

use std::sync::Arc;

use capstan_model::{
    command::Command,
    lrp::guid::Guid,
    task::{
        command::{DesireTask, TaskCommand},
        validate,
    },
};
use http::StatusCode;

use super::{
    answer, at_index,
    enforcement::{self, Asked},
    error::Refusal,
    go_json, propose, shapes,
};
use crate::{
    answer::{Answer, empty},
    call::{Head, Surface, decode_segment},
    error::{ApiError, CreateError},
    query, read,
    service::Inner,
};

/// `POST …`.
pub(crate) async fn create(api: &Inner, head: &Head<'_>, body: &[u8]) -> Result<Answer, ApiError> {
    let draft = go_json::from_body(body)?;
    let (guid, definition) = validate::task(draft).map_err(Refusal::Task)?;
    let location = format!("/v1/tasks/{guid}");
    let (disk_mb, privileged) = (definition.disk_mb, definition.privileged);
    let asked = Asked { disk_mb, egress_rules: &definition.egress_rules, privileged };
    let created = enforcement::told(empty(StatusCode::CREATED), &asked);
    let desire = DesireTask { guid, definition: Arc::new(definition) };
    let command = Command::Task(TaskCommand::Desire(Arc::new(desire)));
    let proposed = propose(api, head, body, command, created).await;
    proposed.map_err(|error| CreateError::locate(error, location))
}

/// `GET …?domain=`.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let domain = query::first(head.query, "domain").filter(|domain| !domain.is_empty());
    let view = read::view(&api.parts.cluster, head).await?;
    let all = view.state().tasks.iter();
    let wanted = all.filter(|task| domain.as_deref().is_none_or(|domain| *task.definition.domain == *domain));
    let shown: Vec<_> = wanted.map(|task| shapes::task(task)).collect();
    Ok(at_index(answer::json(StatusCode::OK, &shown), view.index()))
}

/// `GET …/{task_guid}`.
pub(crate) async fn get(api: &Inner, head: &Head<'_>, guid: &str) -> Result<Answer, ApiError> {
    let guid = decode_segment(guid)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let answer = match view.state().tasks.get(&guid) {
        Some(task) => answer::json(StatusCode::OK, &shapes::task(task)),
        None => ApiError::from(no_such_task(&guid)).answer(Surface::Receptor),
    };
    Ok(at_index(answer, view.index()))
}

/// `POST …/{task_guid}/cancel`.
pub(crate) async fn cancel(
    api: &Inner,
    head: &Head<'_>,
    guid: &str,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let command = Command::Task(TaskCommand::Cancel { guid: task_guid(guid)? });
    propose(api, head, body, command, empty(StatusCode::OK)).await
}

/// `DELETE …/{task_guid}`: of a task that is complete.
pub(crate) async fn delete(
    api: &Inner,
    head: &Head<'_>,
    guid: &str,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let command = Command::Task(TaskCommand::Delete { guid: task_guid(guid)? });
    propose(api, head, body, command, empty(StatusCode::OK)).await
}

/// The task a path names. What cannot name one names none.
fn task_guid(segment: &str) -> Result<Guid, ApiError> {
    let text = decode_segment(segment)?;
    Ok(text.parse().map_err(|_| no_such_task(&text))?)
}

fn no_such_task(guid: &str) -> Refusal {
    Refusal::NoSuchTask { guid: guid.to_owned() }
}
