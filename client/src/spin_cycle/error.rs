//! The two shapes of an error under `/api/v1`.

use serde::{Deserialize, Serialize};

/// The body of a refusal that a handler decided on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandlerError {
    /// What was wrong.
    pub message: String,
    /// Always empty, as upstream leaves it.
    pub request_id: String,
    /// The status code once more.
    pub http_status: u16,
}

/// The body of a refusal made before any handler: bad body, no permission, no such route or method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameworkError {
    /// What was wrong.
    pub message: String,
}
