//! The machine's clocks.

use std::time::Duration;

use capstan_model::time::Timestamp;
use capstan_raft_store::ports::Clock;
use nix::time::{ClockId, clock_gettime};

/// CLOCK_REALTIME for the wall, CLOCK_BOOTTIME for what only grows: it goes on while the machine sleeps, as leases must.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp(u64::try_from(now(ClockId::CLOCK_REALTIME).as_nanos()).unwrap_or(u64::MAX))
    }

    fn monotonic(&self) -> Duration {
        now(ClockId::CLOCK_BOOTTIME)
    }
}

/// The time a clock shows; a wall clock before 1970 shows zero.
fn now(clock: ClockId) -> Duration {
    let time = clock_gettime(clock).expect("Linux has both clocks");
    let (secs, nanos) = (u64::try_from(time.tv_sec()), u32::try_from(time.tv_nsec()));
    secs.ok().zip(nanos.ok()).map_or(Duration::ZERO, |(secs, nanos)| Duration::new(secs, nanos))
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn the_wall_clock_is_the_systems() {
        let before = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let wall = Duration::from_nanos(SystemClock.wall().0);
        let after = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert!(before <= wall && wall <= after, "{before:?} {wall:?} {after:?}");
    }

    #[test]
    fn the_monotonic_clock_does_not_run_backwards() {
        let times: Vec<_> = (0..1_000).map(|_| SystemClock.monotonic()).collect();
        assert!(times.is_sorted());
    }
}
