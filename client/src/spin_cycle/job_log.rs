//! What one try of one job left behind.

use serde::{Deserialize, Serialize};

use super::State;

/// The record of one try of one job. Every key is always there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobLogEntry {
    /// The request.
    pub request_id: String,
    /// The job within it.
    pub job_id: String,
    /// Counts the job's tries from 1.
    #[serde(rename = "try")]
    pub try_no: u64,
    /// The name of the job's node in the spec.
    pub name: String,
    /// The job type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Start of the try on its node's wall clock, in Unix nanoseconds; 0 when it could not be started.
    pub started_at: i64,
    /// End of the try on its node's wall clock, in Unix nanoseconds.
    pub finished_at: i64,
    /// How the try ended: complete, fail, stopped or unknown.
    pub state: State,
    /// The exit status.
    pub exit: i64,
    /// Why it failed; empty when it did not.
    pub error: String,
    /// The last 64 KiB of standard output, marked where it was cut.
    pub stdout: String,
    /// The last 64 KiB of standard error, marked where it was cut.
    pub stderr: String,
}
