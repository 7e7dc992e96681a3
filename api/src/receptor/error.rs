//! The errors of `/v1` in Diego's words (reference 3.3). Their status codes are in the one table of [`crate::error`].

use capstan_model::{lrp::validate::Faults, rejection::Rejection};
use http::StatusCode;

use super::{answer, go_json::InvalidJson};
use crate::{
    answer::Answer,
    error::{ApiError, CreateError, InputError},
};

/// What is wrong with a call under `/v1`; nothing was proposed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The body is not the JSON that is wanted; the text is the decoder's, or `EOF`.
    #[error("{0}")]
    Json(String),
    /// An LRP, or a change of one, breaks the rules.
    #[error(transparent)]
    Lrp(Faults),
    /// A task breaks the rules.
    #[error(transparent)]
    Task(Faults),
    /// A part of the path or a header makes no sense.
    #[error("{0}")]
    Request(String),
    /// No LRP of this name is desired.
    #[error("Desired LRP with guid '{guid}' not found")]
    NoSuchLrp {
        /// The name as sent.
        guid: String,
    },
    /// There is nothing to be seen at this index: the Go client expects no more than a `null`.
    #[error("process-guid '{guid}' does not exist or has no instance at index {index}")]
    NothingAtIndex {
        /// The LRP as sent.
        guid: String,
        /// The index asked for.
        index: i64,
    },
    /// There is nothing to be killed at this index.
    #[error("process-guid '{guid}' does not exist or has no instance at index {index}")]
    NoSuchIndex {
        /// The LRP as sent.
        guid: String,
        /// The index asked for.
        index: i64,
    },
    /// There is no task of this name.
    #[error("task with guid '{guid}' not found")]
    NoSuchTask {
        /// The name as sent.
        guid: String,
    },
    /// The credentials are missing or wrong.
    #[error("Unauthorized")]
    Unauthorized,
}

/// The answer to a call that failed. `message` is what may be told of a failure that Diego has no words for.
pub(crate) fn answered(error: &ApiError, status: StatusCode, message: String) -> Answer {
    match error {
        ApiError::Input(InputError::UnknownRoute) => answer::no_route(),
        ApiError::Input(InputError::MethodNotAllowed { allow }) => answer::method_not_allowed(allow),
        ApiError::Input(InputError::Receptor(Refusal::NothingAtIndex { .. })) => {
            answer::json(status, &serde_json::Value::Null)
        }
        ApiError::Input(
            InputError::NotAuthenticated(_) | InputError::Credentials { .. } | InputError::Denied(_),
        )
        | ApiError::Refused(Rejection::NotAuthenticated(_) | Rejection::Denied(_)) => {
            answer::error(status, "Unauthorized", message)
        }
        ApiError::Input(InputError::Receptor(refusal)) => answer::error(status, refusal.name(), message),
        ApiError::Input(_) if status == StatusCode::BAD_REQUEST => {
            answer::error(status, "InvalidRequest", message)
        }
        ApiError::Refused(rejection) => {
            let (name, message) = in_diegos_words(rejection).unwrap_or(("UnknownError", message));
            answer::error(status, name, message)
        }
        ApiError::Input(_)
        | ApiError::Propose(_)
        | ApiError::Create(CreateError { .. })
        | ApiError::Read(_)
        | ApiError::Archive(_)
        | ApiError::Output(_) => answer::error(status, "UnknownError", message),
    }
}

fn in_diegos_words(rejection: &Rejection) -> Option<(&'static str, String)> {
    Some(match rejection {
        Rejection::LrpExists { guid } => {
            ("DesiredLRPAlreadyExists", format!("Desired LRP with guid '{guid}' already exists"))
        }
        Rejection::NoSuchLrp { guid } => {
            ("DesiredLRPNotFound", format!("Desired LRP with guid '{guid}' not found"))
        }
        Rejection::LrpTagMismatch { guid, .. } => {
            ("ResourceConflict", format!("Desired LRP with guid '{guid}' failed to update"))
        }
        Rejection::NoSuchIndex { guid, index } => (
            "ActualLRPIndexNotFound",
            format!("process-guid '{guid}' does not exist or has no instance at index {index}"),
        ),
        Rejection::TaskExists { .. } => ("TaskGuidAlreadyExists", "task already exists".to_owned()),
        Rejection::NoSuchTask { guid } => ("TaskNotFound", format!("task with guid '{guid}' not found")),
        Rejection::TaskOver { .. } => {
            ("UnknownError", "Cannot transition from Completed to Completed".to_owned())
        }
        Rejection::TaskNotDeletable { .. } => (
            "TaskNotDeletable",
            "This task has not been completed. Please retry when it is completed.".to_owned(),
        ),
        _ => return None,
    })
}

impl Refusal {
    fn name(&self) -> &'static str {
        match self {
            Self::Json(_) => "InvalidJSON",
            Self::Lrp(_) => "InvalidLRP",
            Self::Task(_) => "InvalidTask",
            Self::Request(_) => "InvalidRequest",
            Self::NoSuchLrp { .. } => "DesiredLRPNotFound",
            Self::NothingAtIndex { .. } | Self::NoSuchIndex { .. } => "ActualLRPIndexNotFound",
            Self::NoSuchTask { .. } => "TaskNotFound",
            Self::Unauthorized => "Unauthorized",
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        InputError::from(refusal).into()
    }
}

impl From<InvalidJson> for ApiError {
    fn from(error: InvalidJson) -> Self {
        Refusal::Json(error.to_string()).into()
    }
}
