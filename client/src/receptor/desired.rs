//! Desired LRPs: what is sent to make and change one, and what is answered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Action, EgressRule, EnvironmentVariable, null_is_empty};

/// What routers are told: by name, any JSON value, in the text it was sent in.
pub type Routes = BTreeMap<String, Box<RawValue>>;

/// The body of `POST /v1/desired_lrps`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DesiredLrpCreate {
    /// Names it among all domains.
    pub process_guid: String,
    /// Groups LRPs.
    pub domain: String,
    /// A URL: `preloaded:NAME`, or another scheme that a cell offers.
    pub rootfs: String,
    /// How many instances are to run.
    pub instances: i64,
    /// Every process of an instance has it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub env: Vec<EnvironmentVariable>,
    /// Runs before `action`.
    pub setup: Option<Action>,
    /// What it is all about.
    pub action: Option<Action>,
    /// Tells whether an instance is healthy.
    pub monitor: Option<Action>,
    /// How long an instance may take to become healthy, in seconds; zero is for ever.
    pub start_timeout: u64,
    /// Of the cell's disk, in MiB; zero is unlimited.
    pub disk_mb: i64,
    /// Of the cell's memory, in MiB; zero is unlimited.
    pub memory_mb: i64,
    /// From 0 to 100: its share of the processors.
    pub cpu_weight: u64,
    /// Whether it runs without a user namespace.
    pub privileged: bool,
    /// The ports it listens on.
    #[serde(deserialize_with = "null_is_empty")]
    pub ports: Vec<u16>,
    /// What routers are told.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub routes: Routes,
    /// Under which name its output is streamed.
    pub log_guid: String,
    /// Names the source of its output.
    pub log_source: String,
    /// Under which name its use of resources is told.
    pub metrics_guid: String,
    /// Any text of the owner's, at most 10,240 bytes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub annotation: String,
    /// Which connections it may open.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub egress_rules: Vec<EgressRule>,
}

/// A desired LRP as it is answered: all that was sent, and its modification tag.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DesiredLrp {
    /// Names it among all domains.
    pub process_guid: String,
    /// Groups LRPs.
    pub domain: String,
    /// A URL.
    pub rootfs: String,
    /// How many instances are to run.
    pub instances: u32,
    /// Every process of an instance has it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub env: Vec<EnvironmentVariable>,
    /// Runs before `action`; null when there is none.
    pub setup: Option<Action>,
    /// What it is all about.
    pub action: Option<Action>,
    /// Tells whether an instance is healthy; null when nothing does.
    pub monitor: Option<Action>,
    /// How long an instance may take to become healthy, in seconds.
    pub start_timeout: u32,
    /// Of the cell's disk, in MiB.
    pub disk_mb: u32,
    /// Of the cell's memory, in MiB.
    pub memory_mb: u32,
    /// Its share of the processors.
    pub cpu_weight: u32,
    /// Whether it runs without a user namespace.
    pub privileged: bool,
    /// The ports it listens on.
    #[serde(deserialize_with = "null_is_empty")]
    pub ports: Vec<u16>,
    /// What routers are told.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_is_empty")]
    pub routes: Routes,
    /// Under which name its output is streamed.
    pub log_guid: String,
    /// Names the source of its output.
    pub log_source: String,
    /// Under which name its use of resources is told.
    pub metrics_guid: String,
    /// Any text of the owner's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub annotation: String,
    /// Which connections it may open.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub egress_rules: Vec<EgressRule>,
    /// Which of two copies is the newer.
    pub modification_tag: ModificationTag,
}

/// The body of `PUT /v1/desired_lrps/{process_guid}`: what is `None` stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DesiredLrpUpdate {
    /// How many instances are to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instances: Option<i64>,
    /// Takes the place of all routes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<Routes>,
    /// Takes the place of the annotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotation: Option<String>,
}

/// Orders the copies of one record. Another epoch is another record under the same name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModificationTag {
    /// A UUID, new with each record.
    pub epoch: String,
    /// Counts the writes of the record, from 0.
    pub index: u64,
}
