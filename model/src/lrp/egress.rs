//! Which connections an instance may open.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One rule, as the caller sent it. Of several the last that matches counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressRule {
    /// `tcp`, `udp`, `icmp` or `all`.
    pub protocol: Arc<str>,
    /// Addresses, ranges of them as `first-last`, and networks as CIDR.
    pub destinations: Vec<Arc<str>>,
    /// Ports; empty is none given.
    pub ports: Vec<u32>,
    /// The first and the last of several ports.
    pub port_range: Option<PortRange>,
    /// What kind of ICMP.
    pub icmp_info: Option<IcmpInfo>,
    /// Whether connections are logged.
    pub log: bool,
}

/// Ports from one to another, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    /// The first.
    pub start: u32,
    /// The last.
    pub end: u32,
}

/// A kind of ICMP message; -1 stands for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IcmpInfo {
    /// Its type.
    pub r#type: i32,
    /// Its code.
    pub code: i32,
}
