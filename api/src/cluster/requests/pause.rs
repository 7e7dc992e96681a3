//! `PUT /cluster/v1/requests/{id}/pause` and `/resume`. Both may be repeated: the first pause counts.

use capstan_model::{
    auth::Operation,
    command::Command,
    workflow::command::{PauseRequest, ResumeRequest},
};

use super::{change, request_id};
use crate::{answer::Answer, auth, call::Head, error::ApiError, headers, service::Inner};

/// Lets nothing of a request start, or lets it go on. Who may stop it may do that, too.
pub(crate) async fn pause(api: &Inner, head: &Head<'_>, id: &str, paused: bool) -> Result<Answer, ApiError> {
    let (request, by) = (request_id(id)?, head.caller().name);
    let acl = auth::requests::may_change(api, head, Operation::Stop, request).await?;
    let command = if paused {
        Command::PauseRequest(PauseRequest { request, by })
    } else {
        Command::ResumeRequest(ResumeRequest { request, by })
    };
    let options = auth::options_for(head, headers::idempotency(head, b"")?, acl);
    change(api, options, request, command).await
}
