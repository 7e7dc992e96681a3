//! What users and time have done to a live request, beyond stopping it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::chain::JobPlace;
use crate::time::Timestamp;

/// The longest name of who pauses, resumes or decides, in bytes.
pub const CALLER_BYTES_MAX: usize = 256;

/// One row, absent as long as nothing was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// Who paused it, if it is: nothing of it starts.
    pub paused: Option<Pause>,
    /// When it ran out of time, if it did; it is stopped since.
    pub timed_out_at: Option<Timestamp>,
    /// How long it had no owner between owners; counted where the request has a timeout.
    pub unowned: Duration,
    /// Its approvals that were rejected: no sequence around one of them is tried again.
    pub rejected: BTreeSet<JobPlace>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who asked for it; empty without auth.
    pub by: Arc<str>,
    /// Since when, in log time.
    pub since: Timestamp,
}

impl Control {
    /// The row, if there is one.
    pub(super) fn row(&self) -> Option<&Self> {
        (*self != Self::default()).then_some(self)
    }
}
