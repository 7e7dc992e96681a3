//! Disks that are slow, or fail.

use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Fault, Kind, Strike, Target};
use crate::disk::DiskManner;

/// Something that goes wrong with a disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum DiskFault {
    /// Every sync takes up to so many milliseconds.
    SlowSync(Target, u64),
    /// The next sync fails.
    SyncError(Target),
}

pub(super) const KINDS: &[Kind] = &[
    Kind::new(|draw| Fault::Disk(DiskFault::SlowSync(draw.target(), draw.rng.random_range(20..800)))),
    Kind::new(|draw| Fault::Disk(DiskFault::SyncError(draw.target()))),
];

impl DiskFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        let machines = &strike.world.machines;
        match self {
            Self::SlowSync(target, ms) => {
                let disk = machines.disk(strike.resolve(target));
                disk.set_manner(slow(ms));
                tokio::time::sleep(strike.lasts).await;
                disk.set_manner(DiskManner::default());
            }
            Self::SyncError(target) => machines.fail_disk(strike.resolve(target)),
        }
    }
}

/// Syncs take up to so many milliseconds, and at least half of that.
pub(super) fn slow(ms: u64) -> DiskManner {
    DiskManner { sync: (Duration::from_millis(ms / 2), Duration::from_millis(ms)) }
}
