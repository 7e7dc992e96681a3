//! Cells as operators see them: what they have, what of it is taken, and by what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::receptor::{ActualLrpState, CellCapacity};

/// One element of the body of `GET /cluster/v1/cells`, which is a list by node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellStatus {
    /// Names it, as everything under `/v1` does.
    pub cell_id: String,
    /// The node it belongs to.
    pub node: u64,
    /// Instances of one LRP are spread over zones.
    pub zone: String,
    /// Whether it takes work.
    pub state: CellState,
    /// All it has.
    pub capacity: CellCapacity,
    /// What of it instances and tasks have been given.
    pub used: CellCapacity,
    /// How many instances it has.
    pub instances: u64,
    /// How many tasks it has.
    pub tasks: u64,
    /// By the scheme of a rootfs URL, which names it offers; none where it takes any.
    pub rootfs_providers: BTreeMap<String, Vec<String>>,
    /// How far it keeps what it runs apart.
    #[serde(flatten)]
    pub isolation: CellIsolation,
}

/// How far a cell keeps what it runs apart from the machine, and to what it asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CellIsolation {
    /// Whether each instance and task has a network of its own, in which there is nothing but loopback; otherwise all have that of the
    /// machine.
    pub own_network: bool,
    /// What instances and tasks may use more of than they asked for; by name.
    pub unlimited: Vec<Unlimited>,
}

/// A limit that a cell does not set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlimited {
    /// Of what: `memory` or `cpu`.
    pub limit: String,
    /// Why it does not.
    pub reason: String,
}

/// The body of `GET /cluster/v1/cells/{cell_id}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellDetail {
    /// What the list says of it.
    #[serde(flatten)]
    pub status: CellStatus,
    /// The instances it was given, by guid and index.
    pub hosted: Vec<HostedInstance>,
    /// The tasks it was given, by guid.
    pub task_guids: Vec<String>,
}

/// An instance on a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedInstance {
    /// The LRP.
    pub process_guid: String,
    /// Which of its instances.
    pub index: u32,
    /// How far it has come.
    pub state: ActualLrpState,
    /// Since when, in Unix nanoseconds.
    pub since: i64,
    /// Whether it goes on only until another one runs in its stead.
    pub evacuating: bool,
    /// Why no cell was found for that other one; empty unless it is so.
    #[serde(default)]
    pub replacement_error: String,
    /// Whether its cell has been asked to stop it.
    pub stopping: bool,
}

/// Whether a cell takes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CellState {
    /// It does.
    Open,
    /// It is not heard: what it had is placed elsewhere.
    Silent,
    /// Its node is drained: each of its instances goes on until another one runs.
    Evacuating,
    /// None of these; for readers of an older version.
    #[serde(other)]
    Unknown,
}

impl CellState {
    /// The word on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Silent => "silent",
            Self::Evacuating => "evacuating",
            Self::Unknown => "unknown",
        }
    }
}
