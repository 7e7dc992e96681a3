//! Actual LRPs: one for each index of a desired one.

use serde::{Deserialize, Serialize};

use super::{ModificationTag, null_is_empty};

/// One index of a desired LRP, as it is at the moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActualLrp {
    /// The desired LRP.
    pub process_guid: String,
    /// The run of this index; empty unless claimed or running.
    pub instance_guid: String,
    /// Where it runs; empty unless claimed or running.
    pub cell_id: String,
    /// The desired LRP's domain.
    pub domain: String,
    /// Which of the instances, from 0.
    pub index: u32,
    /// Where it can be reached; empty unless running.
    pub address: String,
    /// How its ports can be reached; null when there are none.
    #[serde(deserialize_with = "null_is_empty", serialize_with = "empty_is_null")]
    pub ports: Vec<PortMapping>,
    /// How far it has come.
    pub state: ActualLrpState,
    /// How often it crashed, as far as that still counts.
    pub crash_count: u32,
    /// Why it crashed last.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub crash_reason: String,
    /// Why it could not be placed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub placement_error: String,
    /// Since when it is so, in Unix nanoseconds.
    pub since: i64,
    /// Whether its cell is being emptied and it waits for its replacement.
    pub evacuating: bool,
    /// Which of two copies is the newer.
    pub modification_tag: ModificationTag,
}

/// How one port of an instance can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// The port as the instance sees it.
    pub container_port: u16,
    /// The port as the rest of the world sees it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub host_port: u16,
}

/// How far an instance has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ActualLrpState {
    /// Waits for a cell.
    Unclaimed,
    /// Is being started.
    Claimed,
    /// Runs, and is healthy.
    Running,
    /// Waits until it is started again.
    Crashed,
    /// None of these; for readers of an older version.
    #[serde(other)]
    Invalid,
}

fn empty_is_null<S: serde::Serializer>(ports: &[PortMapping], serializer: S) -> Result<S::Ok, S::Error> {
    if ports.is_empty() { serializer.serialize_none() } else { ports.serialize(serializer) }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_zero(port: &u16) -> bool {
    *port == 0
}
