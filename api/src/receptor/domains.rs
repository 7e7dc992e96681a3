//! `/v1/domains`.

use std::sync::Arc;

use capstan_model::{command::Command, lrp::command::LrpCommand};
use http::StatusCode;

use super::{answer, at_index, max_age, propose};
use crate::{
    answer::{Answer, empty},
    call::{Head, decode_segment},
    error::ApiError,
    read,
    service::Inner,
};

/// `GET …`: those that are fresh.
pub(crate) async fn list(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let view = read::view(&api.parts.cluster, head).await?;
    // Log time stands still while nothing is written, and a domain expires all the same.
    let now = view.state().log_time().max(api.parts.clock.wall());
    let fresh: Vec<&str> = view.state().lrps.domains.fresh(now).map(|domain| &**domain).collect();
    Ok(at_index(answer::json(StatusCode::OK, &fresh), view.index()))
}

/// `PUT …/{domain}`.
pub(crate) async fn upsert(
    api: &Inner,
    head: &Head<'_>,
    domain: &str,
    body: &[u8],
) -> Result<Answer, ApiError> {
    let domain = Arc::from(decode_segment(domain)?);
    let ttl_secs = max_age::of(head.headers)?;
    let command = Command::Lrp(LrpCommand::UpsertDomain { domain, ttl_secs });
    propose(api, head, body, command, empty(StatusCode::NO_CONTENT)).await
}
