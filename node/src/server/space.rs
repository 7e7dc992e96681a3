//! Room on the disk, before anything is written there.

use std::time::Duration;

use capstan_raft_store::engine::{Disk, Space};
use tracing::{info, warn};

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the log says what is waited for.
const SAY_EVERY: u32 = 30;

/// How much is to be free before the data is opened: opening writes to it, now and then more than the reserve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// So many times the reserve.
    reserves: u64,
}

impl Room {
    /// The reserve.
    pub(super) const RESERVE: Self = Self { reserves: 1 };

    /// What is wanted when this was too little.
    pub(super) fn doubled(self) -> Self {
        Self { reserves: self.reserves.saturating_mul(2) }
    }

    /// In bytes, and never more than half of the disk, which may be all that can be freed.
    fn bytes(self, space: Space) -> u64 {
        space.reserve().saturating_mul(self.reserves).min(space.total / 2)
    }

    /// Waits until the disk has so much free. A node whose supervisor starts it again and again on a full disk would wear it out and
    /// never get anywhere.
    pub(super) async fn wait_for(self, disk: &dyn Disk) {
        for look in 0_u32.. {
            match disk.space() {
                Ok(space) if space.free >= self.bytes(space) => {
                    if look > 0 {
                        info!(free_bytes = space.free, "the disk has space again");
                    }
                    return;
                }
                Ok(space) if look % SAY_EVERY == 0 => {
                    warn!(
                        free_bytes = space.free,
                        wanted_bytes = self.bytes(space),
                        "the disk is nearly full: waiting for space before the data is opened"
                    );
                }
                Ok(_) => {}
                Err(error) => {
                    warn!(%error, "free disk space is unknown");
                    if self == Self::RESERVE {
                        return;
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_is_wanted_when_it_was_too_little_but_never_all() {
        let disk = Space { free: 0, total: 1_000 };
        let wanted = std::iter::successors(Some(Room::RESERVE), |room| Some(room.doubled()));
        let bytes: Vec<_> = wanted.take(6).map(|room| room.bytes(disk)).collect();
        assert_eq!(bytes, [50, 100, 200, 400, 500, 500]);
    }
}
