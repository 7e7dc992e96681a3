//! The shape of errors.

use serde::{Deserialize, Serialize};

/// The body of an answer that is an error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ErrorBody {
    /// A word for programs, such as `DesiredLRPNotFound`.
    pub name: String,
    /// What was wrong.
    pub message: String,
}
