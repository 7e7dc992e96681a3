//! What a task is made of: as given when it was desired, and the same for its life.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lrp::{
    action::{Action, EnvVar},
    actual::Needs,
    egress::EgressRule,
};

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskDefinition {
    /// Groups tasks; means nothing beside.
    pub domain: Arc<str>,
    /// A URL: `preloaded:NAME`, or another scheme that a cell offers.
    pub rootfs: Arc<str>,
    /// Every process has it.
    pub env: Vec<EnvVar>,
    /// What it is all about.
    pub action: Action,
    /// Of the cell's disk, in MiB; zero is unlimited.
    pub disk_mb: u32,
    /// Of the cell's memory, in MiB; zero is unlimited.
    pub memory_mb: u32,
    /// From 0 to 100: its share of the processors among those that compete for them.
    pub cpu_weight: u32,
    /// Whether it runs without a user namespace.
    pub privileged: bool,
    /// The file whose content is its result, as an absolute path; empty is no result.
    pub result_file: Arc<str>,
    /// The URL that is told of its end; empty is none.
    pub completion_callback_url: Arc<str>,
    /// Under which name its output is streamed; empty is not at all.
    pub log_guid: Arc<str>,
    /// Names the source of its output; empty is `LOG`.
    pub log_source: Arc<str>,
    /// Under which name its use of resources is told; empty is not at all.
    pub metrics_guid: Arc<str>,
    /// Any text of the owner's.
    pub annotation: Arc<str>,
    /// Which connections it may open.
    pub egress_rules: Vec<EgressRule>,
}

impl TaskDefinition {
    /// What it takes of a cell.
    pub fn needs(&self) -> Needs {
        Needs { memory_mb: self.memory_mb, disk_mb: self.disk_mb }
    }
}
