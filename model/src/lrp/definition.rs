//! What a desired LRP is made of: the part that never changes, and the part that its owner may change.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    action::{Action, EnvVar},
    egress::EgressRule,
};

/// What is to run: as given when the LRP was desired, and the same for its life.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// Groups LRPs; nothing is stopped on behalf of a domain that is not fresh.
    pub domain: Arc<str>,
    /// A URL: `preloaded:NAME`, or another scheme that a cell offers.
    pub rootfs: Arc<str>,
    /// Every process of an instance has it.
    pub env: Vec<EnvVar>,
    /// Runs before `action`, if there is one.
    pub setup: Option<Action>,
    /// What it is all about.
    pub action: Action,
    /// Tells whether an instance is healthy, again and again.
    pub monitor: Option<Action>,
    /// How long an instance may take to become healthy, in seconds; zero is for ever.
    pub start_timeout_secs: u32,
    /// Of the cell's disk, in MiB; zero is unlimited.
    pub disk_mb: u32,
    /// Of the cell's memory, in MiB; zero is unlimited.
    pub memory_mb: u32,
    /// From 0 to 100: its share of the processors among instances that compete for them.
    pub cpu_weight: u32,
    /// Whether it runs without a user namespace.
    pub privileged: bool,
    /// The ports it listens on, as it sees them; the first is the one of `CF_INSTANCE_PORT`.
    pub ports: Vec<u16>,
    /// Under which name its output is streamed; empty is not at all.
    pub log_guid: Arc<str>,
    /// Names the source of its output; empty is `LOG`.
    pub log_source: Arc<str>,
    /// Under which name its use of resources is told; empty is not at all.
    pub metrics_guid: Arc<str>,
    /// Which connections it may open.
    pub egress_rules: Vec<EgressRule>,
}

/// What the owner of a desired LRP may change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changeable {
    /// How many instances are to run: indices from 0 up to this.
    pub instances: u32,
    /// By name, each a JSON value as compact text. Nobody here looks into them.
    pub routes: BTreeMap<Arc<str>, Arc<str>>,
    /// Any text of the owner's, at most 10,240 bytes.
    pub annotation: Arc<str>,
}

/// What a change of a desired LRP names; the rest stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// How many instances are to run.
    pub instances: Option<u32>,
    /// Takes the place of all routes.
    pub routes: Option<BTreeMap<Arc<str>, Arc<str>>>,
    /// Takes the place of the annotation.
    pub annotation: Option<Arc<str>>,
}
