//! How many there are: kept beside the indexes, so that whoever watches a cluster need not look at every record.

use super::actual::{Phase, Presence};

/// What is desired, and how many records there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// The instances of all LRPs that are desired.
    pub desired_instances: u64,
    /// Ordinary records without a cell.
    pub unclaimed: u64,
    /// Ordinary records whose instance is not healthy yet.
    pub claimed: u64,
    /// Ordinary records whose instance is healthy.
    pub running: u64,
    /// Ordinary records whose instance crashed too often to be started again at once.
    pub crashed: u64,
    /// Records of instances that go on until another one runs.
    pub evacuating: u64,
}

impl Counts {
    /// The number of records of a kind.
    pub(super) fn of(&mut self, presence: Presence, phase: &Phase) -> &mut u64 {
        match (presence, phase) {
            (Presence::Evacuating, _) => &mut self.evacuating,
            (Presence::Ordinary, Phase::Unclaimed { .. }) => &mut self.unclaimed,
            (Presence::Ordinary, Phase::Claimed { .. }) => &mut self.claimed,
            (Presence::Ordinary, Phase::Running { .. }) => &mut self.running,
            (Presence::Ordinary, Phase::Crashed) => &mut self.crashed,
        }
    }
}
