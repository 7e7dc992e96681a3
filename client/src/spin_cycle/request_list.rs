//! The requests a caller may start.

use serde::{Deserialize, Serialize};

use super::RequestArg;

/// One item of `GET /api/v1/request-list`, which is sorted by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestListEntry {
    /// What a POST names as its `type`.
    pub name: String,
    /// The required args, then the optional ones, each in the order of the spec; static args are not listed.
    pub args: Vec<RequestArg>,
}
