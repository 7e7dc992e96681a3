//! Cells: the nodes that host instances and tasks.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A cell that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Names it.
    pub cell_id: String,
    /// Instances of one LRP are spread over zones.
    pub zone: String,
    /// All it has, used or not.
    pub capacity: CellCapacity,
    /// By the scheme of a rootfs URL, which names it offers; none where it takes any.
    pub rootfs_providers: BTreeMap<String, Vec<String>>,
}

/// What a cell has in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CellCapacity {
    /// Memory, in MiB.
    pub memory_mb: u64,
    /// Disk, in MiB.
    pub disk_mb: u64,
    /// How many instances and tasks at a time.
    pub containers: u64,
}
