//! What an `lrp/…` job is to do, as it is kept with the job.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One order. Bodies are kept as the text that is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Order {
    /// To desire an LRP, or to bring the same one to its instances, routes and annotation.
    Desire {
        /// In the shape of the API.
        lrp: String,
    },
    /// To change an LRP.
    Update {
        process_guid: String,
        /// In the shape of the API.
        update: String,
    },
    /// To wait until all instances of an LRP run.
    WaitRunning {
        process_guid: String,
        timeout_ms: u64,
        /// For how long the same instances must run, if the spec says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stable_ms: Option<u64>,
        on_failure: OnFailure,
    },
    /// To desire an LRP no longer, and wait until it is gone.
    Delete { process_guid: String, timeout_ms: u64 },
}

/// What becomes of an LRP that does not come to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnFailure {
    /// It stays as it is.
    Keep,
    /// It is desired no longer.
    Delete,
}

impl Order {
    /// How long it may wait.
    pub(super) fn wait_max(&self) -> Duration {
        match self {
            Self::Desire { .. } | Self::Update { .. } => Duration::ZERO,
            Self::WaitRunning { timeout_ms, .. } | Self::Delete { timeout_ms, .. } => {
                Duration::from_millis(*timeout_ms)
            }
        }
    }
}
