//! The mutable part of a job, and the ways it may change.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::json::JsonMap;
use crate::{ids::TryNo, time::Timestamp};

/// The most bytes of names and values in one job's data. A job that would hand on more fails.
pub const JOB_DATA_BYTES_MAX: usize = 256 * 1024;
/// The longest error text of a try, in bytes.
pub const ERROR_BYTES_MAX: usize = 16 * 1024;

/// The state of a job or of one try, as callers see it; the numbers are Spin Cycle's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum JobState {
    /// A try ended without saying how; handled as a failure.
    Unknown,
    /// Not run yet.
    Pending,
    /// Running, or waiting between two tries.
    Running,
    /// Succeeded.
    Complete,
    /// Failed.
    Failed,
    /// Stopped.
    Stopped,
}

impl JobState {
    /// Spin Cycle's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Pending => 1,
            Self::Running => 2,
            Self::Complete => 3,
            Self::Failed => 4,
            Self::Stopped => 6,
        }
    }

    /// Spin Cycle's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAIL",
            Self::Stopped => "STOPPED",
        }
    }
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Not run yet, or reset; runnable once its parents are complete.
    Pending,
    /// Runnable, and waiting for a free slot of its owner.
    Ready,
    /// A try runs under the request's owner.
    Running {
        /// When the try was handed to the owner, in log time.
        since: Timestamp,
    },
    /// Waits between two tries.
    RetryWait {
        /// When the next try may start, in log time.
        until: Timestamp,
    },
    /// Succeeded.
    Complete,
    /// Failed, with no try left.
    Failed,
    /// Stopped, by a user or by itself.
    Stopped,
    /// A try runs that is out of time: its owner is to stop it.
    Overdue {
        /// When the try was handed to the owner, in log time.
        since: Timestamp,
    },
    /// A try waits for somebody to decide; it runs nowhere.
    Awaiting {
        /// Since when, in log time.
        since: Timestamp,
    },
}

impl Phase {
    /// Whether a try runs on the request's owner.
    pub fn runs(self) -> bool {
        matches!(self, Self::Running { .. } | Self::Overdue { .. })
    }

    /// Whether something is still to come of it without anything else happening first.
    pub fn is_active(self) -> bool {
        self.runs() || matches!(self, Self::Ready | Self::RetryWait { .. } | Self::Awaiting { .. })
    }

    /// The one place that says which phase may follow which. A `noop` runs inside apply, so it alone goes
    /// from pending to an end.
    fn may_become(self, next: Self, noop: bool) -> bool {
        use Phase::{Awaiting, Complete, Failed, Overdue, Pending, Ready, RetryWait, Running, Stopped};
        match (self, next) {
            (Pending, Ready | Running { .. } | Awaiting { .. }) => true,
            (Pending | RetryWait { .. }, Complete | Failed) => noop,
            (Ready | RetryWait { .. }, Running { .. } | Awaiting { .. } | Pending | Stopped) => true,
            (RetryWait { .. }, Ready) => true,
            (
                Running { .. } | Overdue { .. } | Awaiting { .. },
                Complete | Failed | Stopped | RetryWait { .. } | Ready,
            ) => true,
            (Running { .. }, Overdue { .. }) => true,
            // A stop came before the sequence that was to be tried again was reset.
            (Failed, Stopped) => true,
            (Pending, Pending | RetryWait { .. } | Stopped | Overdue { .. })
            | (Ready, Ready | RetryWait { .. } | Complete | Failed | Overdue { .. })
            | (Running { .. }, Pending | Running { .. } | Awaiting { .. })
            | (
                Overdue { .. } | Awaiting { .. },
                Pending | Running { .. } | Overdue { .. } | Awaiting { .. },
            )
            | (RetryWait { .. }, RetryWait { .. } | Overdue { .. })
            | (Failed, Pending | Ready | Running { .. } | RetryWait { .. } | Complete | Failed)
            | (Failed, Overdue { .. } | Awaiting { .. })
            | (Complete | Stopped, _) => false,
        }
    }
}

/// The mutable part of a job: one row, absent while nothing has happened to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Where it is in its life.
    pub phase: Phase,
    /// Its newest try; zero before the first. Never repeats within a request.
    pub try_no: TryNo,
    /// How many tries failed in the current try of its sequence; what the retry budget is compared with.
    pub tries_failed: u32,
    /// How many tries were lost with their node and not counted above; see `retry`.
    pub tries_lost: u32,
    /// How many jobs it directly depends on are not complete.
    pub parents_left: u32,
    /// Stored bytes of output of all its tries.
    pub output_bytes: u64,
    /// What its parents and its own tries handed on.
    pub data: Arc<JsonMap>,
}

impl Job {
    /// A job to which nothing has happened.
    pub(super) fn new(parents: u32) -> Self {
        Self {
            phase: Phase::Pending,
            try_no: TryNo(0),
            tries_failed: 0,
            tries_lost: 0,
            parents_left: parents,
            output_bytes: 0,
            data: Arc::default(),
        }
    }

    /// Its state, as callers see it.
    pub fn state(&self) -> JobState {
        match self.phase {
            Phase::Pending => JobState::Pending,
            // Upstream knows no slots: a job that was tried before is running, also between its tries.
            Phase::Ready if self.tries_failed == 0 => JobState::Pending,
            Phase::Ready
            | Phase::Running { .. }
            | Phase::Overdue { .. }
            | Phase::RetryWait { .. }
            | Phase::Awaiting { .. } => JobState::Running,
            Phase::Complete => JobState::Complete,
            Phase::Failed => JobState::Failed,
            Phase::Stopped => JobState::Stopped,
        }
    }

    /// Whether it only wants an owner, and perhaps a slot, to start.
    pub(super) fn is_startable(&self) -> bool {
        matches!(self.phase, Phase::Pending | Phase::Ready) && self.is_reached()
    }

    /// Whether all its parents are complete.
    pub(super) fn is_reached(&self) -> bool {
        self.parents_left == 0 || mutant!("any-parent-suffices")
    }

    /// Moves it to its next phase.
    pub(super) fn enter(&mut self, next: Phase, job_type: &str) {
        let from = self.phase;
        assert!(from.may_become(next, is_noop(job_type)), "a {job_type} job went from {from:?} to {next:?}");
        self.phase = next;
    }

    /// Makes it as if its sequence had not begun, but for the numbers of its tries, their output and its data.
    pub(super) fn reset(&mut self, parents_left: u32) {
        let rests = !self.phase.runs() && !matches!(self.phase, Phase::Awaiting { .. });
        assert!(rests, "a running job was reset");
        self.phase = Phase::Pending;
        if !mutant!("retries-not-renewed") {
            self.tries_failed = 0;
        }
        self.parents_left = parents_left;
    }

    /// Adds what a try or a parent handed on; a name that is there already gets the new value.
    pub(super) fn merge_data(&mut self, handed_on: &Arc<JsonMap>) {
        if self.data.is_empty() {
            self.data = handed_on.clone();
        } else if !handed_on.is_empty() && !Arc::ptr_eq(&self.data, handed_on) {
            Arc::make_mut(&mut self.data)
                .extend(handed_on.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
    }
}

/// Whether apply itself runs jobs of this type.
pub fn is_noop(job_type: &str) -> bool {
    job_type == "noop"
}

/// Whether a job of this type waits for somebody to decide, and runs nowhere.
pub fn is_approval(job_type: &str) -> bool {
    job_type == "approval"
}

/// Whether a running job of this type takes a slot of its owner.
pub fn takes_slot(job_type: &str) -> bool {
    !matches!(job_type, "noop" | "sleep" | "approval") && !job_type.starts_with("lrp/")
}
