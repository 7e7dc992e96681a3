//! The two clocks of a guardian: the one leases are counted on, and the wall.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use capstan_model::time::Timestamp;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment on CLOCK_BOOTTIME, in nanoseconds since the machine booted, time asleep included.
///
/// All processes of a machine agree on it, nobody can set it, and a suspended machine does not stop it: so a node
/// can tell its guardian how long its lease lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BootTime(pub u64);

impl BootTime {
    /// Reads the clock.
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("Linux has CLOCK_BOOTTIME since 2.6.39");
        Self(u64::try_from(Duration::from(time).as_nanos()).expect("a machine is up for less than 584 years"))
    }

    /// The moment `wait` later; saturates.
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Nanoseconds since boot, as a duration.
    pub fn since_boot(self) -> Duration {
        Duration::from_nanos(self.0)
    }
}

/// Reads this machine's wall clock; the epoch when it is set before that.
pub(crate) fn wall() -> Timestamp {
    Timestamp::ZERO.after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}
