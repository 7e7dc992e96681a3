//! The clocks and random bits of simulated machines.

use std::{
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use capstan_model::time::Timestamp;
use capstan_raft_store::ports::{Clock, Entropy};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::time::Instant;

/// When every world begins: 20 November 2026, in nanoseconds since the Unix epoch.
pub(crate) const EPOCH_NS: u64 = 1_795_132_800_000_000_000;

/// The rate of a clock that is right, in thousandths.
pub(crate) const RIGHT: u32 = 1_000;

/// The clocks of one machine: a wall clock that may be off, and a monotonic one that may run too fast, too slow, or stand still.
pub(crate) struct MachineClock {
    start: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    /// How far the wall clock is off, in milliseconds.
    off_ms: i64,
    /// The rate of the monotonic clock, in thousandths.
    rate: u32,
    /// Since when it has that rate.
    since: Instant,
    /// What it read then.
    read: Duration,
}

impl MachineClock {
    /// Right clocks of a world that begins at `start`.
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            inner: Mutex::new(Inner { off_ms: 0, rate: RIGHT, since: start, read: Duration::ZERO }),
        }
    }

    /// Sets the wall clock off.
    pub(super) fn set_wall(&self, off_ms: i64) {
        self.lock().off_ms = off_ms;
    }

    /// Lets the monotonic clock run at so many thousandths of its rate; at 0 it stands still.
    pub(super) fn set_rate(&self, rate: u32) {
        let inner = &mut *self.lock();
        (inner.read, inner.since, inner.rate) = (inner.monotonic(), Instant::now(), rate);
    }

    /// The moment at which the monotonic clock reads so much, if its rate stays as it is; `None` while it stands still.
    pub(crate) fn when(&self, reading: Duration) -> Option<Instant> {
        let inner = self.lock();
        let left = reading.saturating_sub(inner.read);
        // Rounded up: a timer must not end before its time.
        let left_ns = u64::try_from(left.as_nanos()).expect("a run is shorter than an age");
        let needed_ns = left_ns.saturating_mul(u64::from(RIGHT)).checked_div(u64::from(inner.rate))?;
        Some(inner.since + Duration::from_nanos(needed_ns + u64::from(needed_ns > 0)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("nothing panics while holding it")
    }
}

impl Inner {
    fn monotonic(&self) -> Duration {
        self.read + self.since.elapsed() * self.rate / RIGHT
    }
}

impl Clock for MachineClock {
    /// The wall clock is kept right by others: it does not follow the monotonic one.
    fn wall(&self) -> Timestamp {
        let off_ns = self.lock().off_ms * 1_000_000;
        let elapsed = u64::try_from(self.start.elapsed().as_nanos()).expect("a run is shorter than an age");
        Timestamp((EPOCH_NS + elapsed).saturating_add_signed(off_ns))
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic()
    }
}

/// Random bits of one life.
pub(super) struct SimEntropy(Mutex<SmallRng>);

impl SimEntropy {
    pub(super) fn new(seed: u64) -> Self {
        Self(Mutex::new(SmallRng::seed_from_u64(seed)))
    }
}

impl Entropy for SimEntropy {
    fn u64(&self) -> u64 {
        self.0.lock().expect("nothing panics while holding it").random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_clock_follows_its_rate_and_never_goes_back() {
        let clock = MachineClock::new(Instant::now());
        let second = Duration::from_secs(1);
        let mut read = Vec::new();
        for rate in [500, 0, 2_000, RIGHT] {
            clock.set_rate(rate);
            tokio::time::sleep(second).await;
            read.push(clock.monotonic());
        }
        assert_eq!(read, [second / 2, second / 2, second * 5 / 2, second * 7 / 2]);
        clock.set_rate(500);
        assert_eq!(clock.when(second * 4), Some(Instant::now() + second + Duration::from_nanos(1)));
        clock.set_rate(0);
        assert_eq!(clock.when(second * 4), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_is_off_comes_right_again() {
        let clock = MachineClock::new(Instant::now());
        let right = clock.wall();
        clock.set_wall(-1_000);
        assert_eq!(clock.wall().0, right.0 - 1_000_000_000);
        clock.set_wall(0);
        assert_eq!(clock.wall(), right);
    }
}
