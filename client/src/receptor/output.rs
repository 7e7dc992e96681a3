//! What instances write.

use serde::{Deserialize, Serialize};

use crate::spin_cycle::UtcTime;

/// One line of `GET /v1/actual_lrps/{process_guid}/index/{index}/logs`: a JSON object on a line of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// When it was written, by the clock of its cell.
    pub at: UtcTime,
    /// Where to.
    pub stream: OutputStream,
    /// By which of the sources of the instance.
    pub source: String,
    /// The line, without its end.
    pub text: String,
}

/// One of the two streams of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
