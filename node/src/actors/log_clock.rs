//! What log time is by now, for those who wait for a moment in it: nothing stamps it while nothing is written.

use std::time::Duration;

use capstan_model::time::Timestamp;

/// Reckons from the newest stamp, and is never ahead of the next one.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogClock {
    /// The newest stamp, and when it was seen first, on the monotonic clock.
    stamp: (Timestamp, Duration),
}

impl LogClock {
    /// A clock that has seen no stamp until `now`.
    pub(super) fn new(now: Duration) -> Self {
        Self { stamp: (Timestamp::ZERO, now) }
    }

    /// What log time is at the least: the clock that stamps may be slower than this one by a hundredth.
    pub(super) fn at(&mut self, newest: Timestamp, now: Duration) -> Timestamp {
        if self.stamp.0 != newest {
            self.stamp = (newest, now);
        }
        let elapsed = now.saturating_sub(self.stamp.1);
        newest.after(elapsed - elapsed / 50)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_time_goes_on_while_nothing_is_stamped_and_is_never_ahead() {
        let secs = Duration::from_secs;
        let mut clock = LogClock::new(secs(5));
        let stamp = Timestamp::ZERO.after(secs(1_000));
        assert_eq!(clock.at(stamp, secs(10)), stamp);
        assert_eq!(clock.at(stamp, secs(110)), stamp.after(secs(98)));
        let next = stamp.after(secs(99));
        assert_eq!(clock.at(next, secs(110)), next, "a new stamp counts from when it was seen");
    }
}
