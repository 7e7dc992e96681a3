//! How well something suits a cell: the lower, the better.

use super::bid::Bidder;
use crate::lrp::actual::Needs;

/// A cell that is used up in one of the three resources scores as much more for it.
const FULL: u64 = 1 << 20;

/// The sum of the parts of memory, disk and containers that would be taken, and for each of its `mates` there (other instances of
/// the LRP, or other tasks) as much as a cell that is full in all three: so one mate weighs more than any use.
///
/// Whole numbers, in units of 1 / 2^20 of a resource: every node that plans comes to the same.
pub(super) fn score(cell: &Bidder, needs: Needs, mates: u32) -> u64 {
    let part = |used: u64, total: u32| {
        if total == 0 { 0 } else { used * FULL / u64::from(total) }
    };
    part(cell.used.memory_mb + u64::from(needs.memory_mb), cell.capacity.memory_mb)
        + part(cell.used.disk_mb + u64::from(needs.disk_mb), cell.capacity.disk_mb)
        + part(cell.used.containers + 1, cell.capacity.containers)
        + 3 * FULL * u64::from(mates)
}
