//! `POST /cluster/v1/nodes/{id}/drain` and `/undrain`.

use capstan_client::cluster::NodeDrain;
use capstan_model::{command::Command, ids::NodeId};
use capstan_raft_store::handle::Committed;
use http::{HeaderValue, StatusCode};

use crate::{
    answer::{self, Answer},
    auth,
    call::Head,
    error::{ApiError, InputError},
    headers,
    service::Inner,
};

/// Has it committed that a node is drained, or no longer; what follows from it goes on after the answer.
pub(crate) async fn drain(
    api: &Inner,
    head: &Head<'_>,
    id: &str,
    draining: bool,
) -> Result<Answer, ApiError> {
    let no_such_node = || InputError::NoSuchNode { id: id.chars().take(100).collect() };
    let node = NodeId(id.parse().map_err(|_| no_such_node())?);
    let command = if draining { Command::DrainNode { node } } else { Command::UndrainNode { node } };
    let Committed { reply, index } = api.parts.cluster.propose(command, auth::options(head, b"")?).await?;
    reply?;
    let mut answer = answer::json(StatusCode::ACCEPTED, &NodeDrain { id: node.0, draining });
    answer.headers_mut().insert(headers::INDEX, HeaderValue::from(index));
    Ok(answer)
}
