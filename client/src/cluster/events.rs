//! The events of `GET /cluster/v1/events`. Those of LRPs are [`crate::receptor`]'s, here with their time.

use serde::{Deserialize, Serialize};

use crate::spin_cycle::UtcTime;

/// What events may be about: the values of the parameter `kind`.
pub const EVENT_KINDS: [&str; 6] = ["request", "job", "node", "variable", "task", "lrp"];

/// The data of `request_created`, `request_changed`, `request_paused`, `request_resumed`, `request_timed_out` and `request_ended`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestEvent {
    /// When.
    pub at: UtcTime,
    /// Which.
    pub id: String,
    /// The name of its spec; told when it is created.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub request_type: Option<String>,
    /// Who asked for it; told when it is created, empty without auth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its state from now on: `PENDING`, `RUNNING`, `SUSPENDED`, `COMPLETE`, `FAIL` or `STOPPED`. A pause does not change it, nor that
    /// it ran out of time: absent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Who paused or resumed it; empty without auth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The node that runs it from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<u64>,
}

/// The data of `job_started`, `job_decided` and `job_ended`: one try of a job. Of a `noop` only the end is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEvent {
    /// When.
    pub at: UtcTime,
    /// The request.
    pub request_id: String,
    /// The job.
    pub id: String,
    /// The job's name in its spec.
    pub name: String,
    /// Which of its tries, from 1.
    #[serde(rename = "try")]
    pub try_no: u32,
    /// `RUNNING`, or how the try ended: `COMPLETE`, `FAIL`, `STOPPED` or `UNKNOWN`.
    pub state: String,
    /// What was decided about an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<JobDecision>,
}

/// What somebody decided about an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDecision {
    /// Whether the jobs after it may run.
    pub approved: bool,
    /// Who; empty without auth.
    pub by: String,
    /// Why; may be empty.
    pub comment: String,
}

/// The data of `node_joined`, `node_lost`, `node_drained`, `node_undrained`, `node_leaving` and `node_left`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEvent {
    /// When.
    pub at: UtcTime,
    /// Which.
    pub id: u64,
    /// Counts its lives.
    pub incarnation: u64,
}

/// The data of `variable_set` and `variable_deleted`. What it holds is not told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariableEvent {
    /// When.
    pub at: UtcTime,
    /// Which.
    pub name: String,
    /// Its revision from now on; absent when it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
}

/// The data of `task_created`, `task_changed` and `task_removed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskEvent {
    /// When.
    pub at: UtcTime,
    /// Which.
    pub task_guid: String,
    /// Groups tasks.
    pub domain: String,
    /// Its state from now on: `PENDING`, `RUNNING`, `COMPLETED` or `RESOLVING`; absent when it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Where it runs, or ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell_id: Option<String>,
    /// Whether it has failed.
    #[serde(default)]
    pub failed: bool,
}
