//! Which connections an instance may open.

use serde::{Deserialize, Serialize};

use super::null_is_empty;

/// One rule; of several the last that matches counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EgressRule {
    /// `tcp`, `udp`, `icmp` or `all`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub protocol: String,
    /// Addresses, ranges of them as `first-last`, and networks as CIDR.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub destinations: Vec<String>,
    /// Ports.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub ports: Vec<u32>,
    /// The first and the last of several ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_range: Option<PortRange>,
    /// What kind of ICMP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_info: Option<IcmpInfo>,
    /// Whether connections are logged.
    pub log: bool,
}

/// Ports from one to another, both included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortRange {
    /// The first.
    pub start: u32,
    /// The last.
    pub end: u32,
}

/// A kind of ICMP message; -1 stands for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IcmpInfo {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: i32,
    /// Its code.
    pub code: i32,
}
