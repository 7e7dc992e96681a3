//! Disks that are slow, fail, are full, or do not hold what was written.

use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Fault, Kind, Strike, Target};
use crate::{
    disk::{DiskManner, Flips, Loss, Once},
    net::Place,
};

/// Something that goes wrong with a disk.
///
/// The kinds from [`DiskFault::Flip`] on damage data for good. They hit at most so many nodes in a run that the others are a majority; a node
/// that was hit may stop and refuse to start, and nobody waits for it.
///
/// Missing, because nothing on a machine tells it: an old version of a log with its vote under a state that is not newer, and a whole
/// directory put back within the life it was copied in. A node cannot know that it once knew more, and its boot count is as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum DiskFault {
    /// Every sync takes up to so many milliseconds.
    SlowSync(Target, u64),
    /// Every sync takes up to so many milliseconds, which are seconds: the disk works, and is of no use.
    GraySync(Target, u64),
    /// The next sync fails.
    SyncError(Target),
    /// The next write fails.
    WriteError(Target),
    /// The next read fails.
    ReadError(Target),
    /// There is room for so many bytes more.
    Full(Target, u64),
    /// Nothing can be changed.
    ReadOnly(Target),
    /// One bit is another, which follows from the number.
    Flip(Target, Flips, u64),
    /// One file is gone, or what one engine held; which follows from the number. The node starts without it.
    LostFile(Target, u64),
    /// The state is as it was when the fault began; log and snapshots are not.
    StaleState(Target),
    /// A new file system under the old node id.
    Wiped(Target),
    /// The directory of an earlier life is put back.
    Restored(Target),
}

pub(super) const KINDS: &[Kind] = &[
    Kind::new(|draw| Fault::Disk(DiskFault::SlowSync(draw.target(), draw.log_uniform(5.0, 800.0) as u64))),
    Kind::new(|draw| {
        Fault::Disk(DiskFault::GraySync(draw.target(), draw.log_uniform(1_000.0, 30_000.0) as u64))
    }),
    Kind::new(|draw| Fault::Disk(DiskFault::SyncError(draw.target()))),
    Kind::new(|draw| Fault::Disk(DiskFault::WriteError(draw.target()))),
    Kind::new(|draw| Fault::Disk(DiskFault::ReadError(draw.target()))),
    Kind::new(|draw| Fault::Disk(DiskFault::Full(draw.target(), draw.log_uniform(100.0, 1e6) as u64))),
    Kind::new(|draw| Fault::Disk(DiskFault::ReadOnly(draw.target()))),
    Kind::new(|draw| {
        let flips = [Flips::Log, Flips::State, Flips::Snapshot][draw.rng.random_range(0..3)];
        Fault::Disk(DiskFault::Flip(draw.target(), flips, draw.rng.random()))
    }),
    Kind::new(|draw| Fault::Disk(DiskFault::LostFile(draw.target(), draw.rng.random()))),
    Kind::new(|draw| Fault::Disk(DiskFault::StaleState(draw.target()))),
    Kind::new(|draw| Fault::Disk(DiskFault::Wiped(draw.target()))),
    Kind::new(|draw| Fault::Disk(DiskFault::Restored(draw.target()))),
];

/// How often a node is looked at that must first have joined.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl DiskFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        let machines = &strike.world.machines;
        match self {
            Self::SlowSync(target, ms) | Self::GraySync(target, ms) => {
                let disk = machines.disk(strike.resolve(target));
                disk.set_manner(slow(ms));
                tokio::time::sleep(strike.lasts).await;
                disk.set_manner(DiskManner::default());
            }
            Self::SyncError(target) => strike.fails(target, Once::Sync).await,
            Self::WriteError(target) => strike.fails(target, Once::Write).await,
            Self::ReadError(target) => strike.fails(target, Once::Read).await,
            Self::Full(target, room) => {
                let node = strike.resolve(target);
                machines.disk(node).set_room(Some(room));
                tokio::time::sleep(strike.lasts).await;
                machines.disk(node).set_room(None);
                strike.check_trust(node);
            }
            Self::ReadOnly(target) => {
                let node = strike.resolve(target);
                machines.disk(node).set_read_only(true);
                tokio::time::sleep(strike.lasts).await;
                machines.disk(node).set_read_only(false);
                strike.check_trust(node);
            }
            Self::Flip(target, flips, choice) => {
                let node = strike.resolve(target);
                if strike.may_damage(node) {
                    machines.retire(node);
                    if flips == Flips::Log {
                        // A node reads its log when it starts, and hardly again.
                        machines.strike(node, Loss::Process);
                    }
                    machines.disk(node).flip(flips, choice);
                    strike.world.boot_later(node, strike.lasts);
                }
            }
            Self::LostFile(target, choice) => {
                let node = strike.resolve(target);
                if strike.may_damage(node) {
                    machines.retire(node);
                    machines.strike(node, Loss::Process);
                    machines.disk(node).lose_one(choice);
                    strike.world.boot_later(node, strike.lasts);
                }
            }
            Self::StaleState(target) => strike.stale_state(target).await,
            Self::Wiped(target) => strike.wipe(target),
            Self::Restored(target) => strike.restore(target).await,
        }
    }
}

/// Syncs take up to so many milliseconds, and at least half of that.
pub(super) fn slow(ms: u64) -> DiskManner {
    DiskManner { sync: (Duration::from_millis(ms / 2), Duration::from_millis(ms)) }
}

impl Strike {
    async fn fails(&self, target: Target, once: Once) {
        let node = self.resolve(target);
        self.world.machines.disk(node).fail_next(once);
        tokio::time::sleep(self.lasts).await;
        self.check_trust(node);
    }

    /// After a failed write or sync nothing of a disk can be trusted: the node must have stopped.
    pub(super) fn check_trust(&self, node: Place) {
        let machines = &self.world.machines;
        if machines.disk(node).take_trusted_again() {
            let found = format!("node {node} went on writing");
            machines.oracle.violated("a node stops when its disk has failed a change", found);
        }
    }

    /// Whether a node's data may be damaged: its own was not yet, and the others remain a majority.
    fn may_damage(&self, node: Place) -> bool {
        let machines = &self.world.machines;
        let nodes = machines.net.nodes();
        let damaged = nodes.clone().filter(|node| machines.is_retired(*node)).count();
        !machines.is_retired(node) && damaged < (nodes.count() - 1) / 2
    }

    async fn stale_state(&self, target: Target) {
        let node = self.resolve(target);
        if !self.may_damage(node) {
            return;
        }
        let machines = &self.world.machines;
        machines.retire(node);
        let copy = machines.disk(node).copy();
        tokio::time::sleep(self.lasts).await;
        machines.strike(node, Loss::Process);
        machines.disk(node).restore_state(&copy);
        self.world.boot(node);
    }

    /// Nothing of the new directory may count. Only a node that all others know is hit: who does not know it cannot tell.
    fn wipe(&self, target: Target) {
        let node = self.resolve(target);
        let is_known = self.others(node).all(|other| self.knows(other, node).is_some());
        if !is_known || !self.may_damage(node) {
            return;
        }
        let machines = &self.world.machines;
        machines.retire(node);
        machines.strike(node, Loss::Process);
        machines.disk(node).wipe();
        self.world.boot_later(node, self.lasts);
    }

    /// Copies a directory, lets its node begin another life, and puts the copy back once that life has joined and all others know. The
    /// boot count tells, until it is raised past what they know: the node has one life on the copy.
    async fn restore(&self, target: Target) {
        let node = self.resolve(target);
        let machines = &self.world.machines;
        let copied = self.knows(node, node);
        if copied.is_none() || !self.may_damage(node) {
            return;
        }
        let copy = machines.disk(node).copy();
        machines.strike(node, Loss::Process);
        self.world.boot(node);
        let has_joined = || {
            let newest = self.knows(node, node);
            newest > copied && self.others(node).all(|other| self.knows(other, node) == newest)
        };
        let joined = async {
            while !has_joined() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(self.lasts, joined).await.is_err() || !self.may_damage(node) {
            return;
        }
        machines.retire(node);
        machines.strike(node, Loss::Process);
        machines.disk(node).restore(copy);
        self.world.boot(node);
        machines.end_with_this_life(node);
    }

    /// Which life of a node another one knows, by its boot count.
    fn knows(&self, other: Place, node: Place) -> Option<u64> {
        let view = self.world.machines.handle(other)?.view();
        let known = view.state().nodes.get(&capstan_model::ids::NodeId(node))?;
        Some(known.incarnation.boot)
    }
}
