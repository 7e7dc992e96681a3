//! Why the instances of an LRP are where they are, and what each cell would say to one more.

use serde::{Deserialize, Serialize};

use super::CellIsolation;
use crate::receptor::ActualLrpState;

/// The body of `GET /cluster/v1/lrps/{process_guid}/explain`: the state of one moment, changed by nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LrpExplanation {
    /// The LRP.
    pub process_guid: String,
    /// What is wanted; null once it is not desired any more, and what is left of it is being stopped.
    pub desired: Option<ExplainedDesire>,
    /// Every record there is, by index; of two of one index the evacuating one comes last.
    pub records: Vec<ExplainedRecord>,
    /// What an auction would do with one more instance now; null once the LRP is not desired any more.
    pub one_more: Option<OneMore>,
}

/// What an LRP asks of cells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedDesire {
    /// How many instances are to run.
    pub instances: u32,
    /// What cells must provide.
    pub rootfs: String,
    /// What each instance takes of a cell's memory, in MiB; zero counts for nothing.
    pub memory_mb: u32,
    /// What each instance takes of a cell's disk, in MiB; zero counts for nothing.
    pub disk_mb: u32,
}

/// One record of an index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedRecord {
    /// Which of the instances.
    pub index: u32,
    /// How far it has come.
    pub state: ActualLrpState,
    /// Where it is; null unless claimed or running.
    pub cell_id: Option<String>,
    /// The zone of that cell; null also when the cell is gone.
    pub zone: Option<String>,
    /// Since when it is so, in Unix nanoseconds.
    pub since: i64,
    /// How often it crashed in a row.
    pub crash_count: u32,
    /// Why it crashed last; empty if it has not, or without an error.
    pub crash_reason: String,
    /// Why it could not be placed the last time; empty unless it waits for a cell.
    pub placement_error: String,
    /// When it is started again, in Unix nanoseconds; null unless it has crashed and will be.
    pub restart_at: Option<i64>,
    /// Whether it goes on only until another one runs in its stead.
    pub evacuating: bool,
    /// Whether its cell has been asked to stop it.
    pub stopping: bool,
}

/// What an auction would do with one more instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneMore {
    /// The cell that would get it; null when none would.
    pub cell_id: Option<String>,
    /// Why none would, as `placement_error` would say it; empty when one would.
    pub placement_error: String,
    /// What each cell has to say, by node.
    pub cells: Vec<CellVerdict>,
}

/// What one cell has to say to one more instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellVerdict {
    /// The cell.
    pub cell_id: String,
    /// Its zone.
    pub zone: String,
    /// How many instances of the LRP its zone has.
    pub zone_instances: u32,
    /// How many instances of the LRP it has itself.
    pub instances: u32,
    /// Whether it would take one more.
    pub verdict: Verdict,
    /// How well it would suit, the lower the better; null unless it would take one. The zone with the fewest instances comes before.
    pub score: Option<u64>,
    /// What it has too little of: `containers`, `disk`, `memory`; empty unless it is full.
    pub lacks: Vec<String>,
    /// How far it would keep the instance apart.
    #[serde(flatten)]
    pub isolation: CellIsolation,
}

/// Whether a cell would take one more instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It would.
    Fits,
    /// It has no room.
    Full,
    /// It does not provide the rootfs.
    Rootfs,
    /// It is not heard.
    Silent,
    /// Its node is drained.
    Evacuating,
    /// None of these; for readers of an older version.
    #[serde(other)]
    Unknown,
}
