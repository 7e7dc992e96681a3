//! Tasks: what is sent to make one, and what is answered.

use serde::{Deserialize, Serialize};

use super::{Action, EgressRule, EnvironmentVariable, null_is_empty};

/// The body of `POST /v1/tasks`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskCreate {
    /// What it is all about.
    pub action: Option<Action>,
    /// Any text of the owner's, at most 10,240 bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub annotation: String,
    /// Who is told of the end.
    pub completion_callback_url: String,
    /// From 0 to 100: its share of the processors.
    pub cpu_weight: u64,
    /// Of the cell's disk, in MiB; zero is unlimited.
    pub disk_mb: i64,
    /// Groups tasks.
    pub domain: String,
    /// Under which name its output is streamed.
    pub log_guid: String,
    /// Names the source of its output.
    pub log_source: String,
    /// Under which name its use of resources is told.
    pub metrics_guid: String,
    /// Of the cell's memory, in MiB; zero is unlimited.
    pub memory_mb: i64,
    /// The file whose content becomes the result.
    pub result_file: String,
    /// Names it among all domains.
    pub task_guid: String,
    /// A URL: `preloaded:NAME`, or another scheme that a cell offers.
    pub rootfs: String,
    /// Whether it runs without a user namespace.
    pub privileged: bool,
    /// Every process of the task has it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub env: Vec<EnvironmentVariable>,
    /// Which connections it may open.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub egress_rules: Vec<EgressRule>,
}

/// A task as it is answered. Unlike in [`TaskCreate`] the egress rules come last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// What it is all about.
    pub action: Option<Action>,
    /// Any text of the owner's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub annotation: String,
    /// Who is told of the end.
    pub completion_callback_url: String,
    /// Its share of the processors.
    pub cpu_weight: u32,
    /// Of the cell's disk, in MiB.
    pub disk_mb: u32,
    /// Groups tasks.
    pub domain: String,
    /// Under which name its output is streamed.
    pub log_guid: String,
    /// Names the source of its output.
    pub log_source: String,
    /// Under which name its use of resources is told.
    pub metrics_guid: String,
    /// Of the cell's memory, in MiB.
    pub memory_mb: u32,
    /// The file whose content becomes the result.
    pub result_file: String,
    /// Names it.
    pub task_guid: String,
    /// A URL.
    pub rootfs: String,
    /// Whether it runs without a user namespace.
    pub privileged: bool,
    /// Every process of the task has it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvironmentVariable>,
    /// Where it runs; empty unless it does.
    pub cell_id: String,
    /// When it was desired, in Unix nanoseconds.
    pub created_at: i64,
    /// Whether it has failed.
    pub failed: bool,
    /// Why.
    pub failure_reason: String,
    /// What it left in its result file.
    pub result: String,
    /// How far it has come.
    pub state: TaskState,
    /// Which connections it may open.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress_rules: Vec<EgressRule>,
}

/// How far a task has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskState {
    /// Waits for a cell.
    Pending,
    /// Runs.
    Running,
    /// Has ended, and waits until its result is taken.
    Completed,
    /// Its result is being taken.
    Resolving,
    /// None of these; for readers of an older version.
    #[serde(other)]
    Invalid,
}
