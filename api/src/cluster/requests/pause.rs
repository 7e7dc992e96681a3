//! `PUT /cluster/v1/requests/{id}/pause` and `/resume`. Both may be repeated: the first pause counts.

use capstan_model::{
    command::Command,
    workflow::command::{PauseRequest, ResumeRequest},
};

use super::{caller, change, request_id};
use crate::{answer::Answer, call::Head, error::ApiError, service::Inner};

/// Lets nothing of a request start, or lets it go on.
pub(crate) async fn pause(api: &Inner, head: &Head<'_>, id: &str, paused: bool) -> Result<Answer, ApiError> {
    let (request, by) = (request_id(id)?, caller(head));
    let command = if paused {
        Command::PauseRequest(PauseRequest { request, by })
    } else {
        Command::ResumeRequest(ResumeRequest { request, by })
    };
    change(api, head, b"", request, command).await
}
