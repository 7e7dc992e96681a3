//! What a caller asks for, before it has been looked at.
//!
//! Numbers have the width they travel in, and routes the text they were sent in, because the rules are about what was sent.
//! [`super::desired`] turns a draft into a [`crate::lrp::definition::Definition`] or says what is wrong with it.

use std::{collections::BTreeMap, sync::Arc};

use crate::lrp::{
    action::{Action, EnvVar},
    egress::EgressRule,
};

/// Routes as they were sent: by name, each one JSON value without the blanks around it.
pub type RoutesDraft = BTreeMap<Arc<str>, Box<str>>;

/// A new desired LRP. What was not sent is empty, zero or `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DesiredDraft {
    /// Names it among all domains.
    pub process_guid: Arc<str>,
    /// Groups LRPs.
    pub domain: Arc<str>,
    /// A URL.
    pub rootfs: Arc<str>,
    /// How many instances are to run.
    pub instances: i64,
    /// Every process of an instance has it; where the caller sent `null` a variable without a name.
    pub env: Vec<EnvVar>,
    /// Runs before `action`.
    pub setup: Option<Action>,
    /// What it is all about.
    pub action: Option<Action>,
    /// Tells whether an instance is healthy.
    pub monitor: Option<Action>,
    /// How long an instance may take to become healthy, in seconds.
    pub start_timeout_secs: u64,
    /// Of the cell's disk, in MiB.
    pub disk_mb: i64,
    /// Of the cell's memory, in MiB.
    pub memory_mb: i64,
    /// Its share of the processors.
    pub cpu_weight: u64,
    /// Whether it runs without a user namespace.
    pub privileged: bool,
    /// The ports it listens on.
    pub ports: Vec<u16>,
    /// What routers are told.
    pub routes: RoutesDraft,
    /// Under which name its output is streamed.
    pub log_guid: Arc<str>,
    /// Names the source of its output.
    pub log_source: Arc<str>,
    /// Under which name its use of resources is told.
    pub metrics_guid: Arc<str>,
    /// Any text of the owner's.
    pub annotation: Arc<str>,
    /// Which connections it may open; where the caller sent `null` a rule without a protocol.
    pub egress_rules: Vec<EgressRule>,
}

/// A change of a desired LRP: what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateDraft {
    /// How many instances are to run.
    pub instances: Option<i64>,
    /// Takes the place of all routes.
    pub routes: Option<RoutesDraft>,
    /// Takes the place of the annotation.
    pub annotation: Option<Arc<str>>,
}
