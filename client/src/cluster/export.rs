//! What is exported of requests: a JSON object on each line.

use serde::{Deserialize, Serialize};

use crate::spin_cycle::{JobLogEntry, Request};

/// A request as a line of an export has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportedRequest {
    /// Where the line behind this one begins, as `after` takes it.
    pub cursor: String,
    /// The request, with its args and chain.
    #[serde(flatten)]
    pub request: Request,
    /// The version of the cluster's specs it was built from; `None` where the cluster had none yet.
    pub specs: Option<String>,
    /// What the tries of its jobs left behind, by job id, then try; absent when logs were not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<Vec<JobLogEntry>>,
}
