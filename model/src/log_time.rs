//! Log time: one clock for the whole cluster, made by its leader.
//!
//! A leader goes on from the last log time on its monotonic clock. Its wall clock only draws, gently; the median of the
//! clocks a majority reports makes it jump, and only forward. So one wrong clock moves nothing far, and time never stands still: not after a
//! leader whose clock was ahead, either.
//!
//! The rule is pure: whoever stamps reads the clocks.

use std::time::Duration;

use crate::time::Timestamp;

/// A node whose wall clock is further from the median says so, is not ready, and hands leadership away.
pub const CLOCK_SKEW_MAX: Duration = Duration::from_secs(2);

/// The wall clock draws log time by at most this part of the time that passed: one in a hundred.
const DRAW_DIVISOR: u64 = 100;

/// The log clock of one leader in one term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogClock {
    last: Timestamp,
}

impl LogClock {
    /// Goes on from the last log time; `last` is that of the newest entry applied.
    pub fn start(last: Timestamp) -> Self {
        Self { last }
    }

    /// The next stamp; never before the last one.
    ///
    /// `elapsed` is how long ago the last stamp was made (the first one: how long ago this clock was started), on the monotonic
    /// clock; `wall` the leader's own wall clock; `median` that of a majority, if one has reported ([`median`]).
    pub fn advance(&mut self, elapsed: Duration, wall: Timestamp, median: Option<Timestamp>) -> Timestamp {
        let next = self.last.after(elapsed);
        let draw_max = (next.0 - self.last.0) / DRAW_DIVISOR;
        let drawn = wall.0.clamp(next.0 - draw_max, next.0.saturating_add(draw_max));
        self.last = Timestamp(drawn).max(median.unwrap_or(Timestamp::ZERO));
        self.last
    }
}

/// The median of the voters' wall clocks, each as it reads now (as reported, plus the report's age); `None` unless more than
/// half of `voters` have reported. Of two in the middle, the earlier: log time cannot go back on a jump.
pub fn median(reports: impl IntoIterator<Item = Timestamp>, voters: usize) -> Option<Timestamp> {
    let mut walls: Vec<_> = reports.into_iter().collect();
    walls.sort_unstable();
    let too_few = if mutant!("median-without-majority") { 0 } else { voters / 2 };
    if walls.len() <= too_few {
        return None;
    }
    walls.get((walls.len() - 1) / 2).copied()
}

/// How far a wall clock is ahead of the median, in milliseconds; negative when it is behind.
pub fn clock_skew_ms(wall: Timestamp, median: Timestamp) -> i64 {
    let ahead = (i128::from(wall.0) - i128::from(median.0)) / 1_000_000;
    i64::try_from(ahead).expect("a u64 of nanoseconds fits an i64 of milliseconds")
}

/// Whether a clock that far from the median can be trusted to stamp.
pub fn is_sane(clock_skew_ms: i64) -> bool {
    u128::from(clock_skew_ms.unsigned_abs()) <= CLOCK_SKEW_MAX.as_millis()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(n: u64) -> Timestamp {
        Timestamp(n * 1_000_000_000)
    }

    fn millis(n: u64) -> Timestamp {
        Timestamp(n * 1_000_000)
    }

    #[test]
    fn a_stamp_follows_the_monotonic_clock_and_is_drawn_to_the_wall_clock() {
        // The last stamp was at 1,000 s, and 10 s have passed: (wall, median, stamp), in ms.
        let cases = [
            ("the wall clock agrees", 1_010_000, None, 1_010_000),
            ("it is a little ahead", 1_010_050, None, 1_010_050),
            ("it is a little behind", 1_009_950, None, 1_009_950),
            ("it is far ahead: one in a hundred", 9_999_000, None, 1_010_100),
            ("it is far behind: one in a hundred", 1_000, None, 1_009_900),
            ("it shows nothing", 0, None, 1_009_900),
            ("the median is behind, and moves nothing", 1_010_000, Some(1_000_000), 1_010_000),
            ("the median is ahead: a jump", 1_010_000, Some(1_020_000), 1_020_000),
            ("so it is when the wall clock is behind", 1_000, Some(1_020_000), 1_020_000),
        ];
        for (case, wall, median, expected) in cases {
            let mut clock = LogClock::start(secs(1_000));
            let stamp = clock.advance(Duration::from_secs(10), millis(wall), median.map(millis));
            assert_eq!(stamp, millis(expected), "{case}");
        }
    }

    #[test]
    fn a_wrong_clock_of_one_leader_is_forgotten_by_the_next() {
        // 30 s ahead after some wrong leader: 1 % of an hour makes up for it, and time goes on meanwhile.
        let mut clock = LogClock::start(secs(1_030));
        for passed in 1..=3_600 {
            let (before, wall) = (clock, secs(1_000 + passed));
            assert!(
                clock.advance(Duration::from_secs(1), wall, Some(wall)) > before.last,
                "after {passed} s"
            );
        }
        assert_eq!(clock.last, secs(4_600));
    }

    #[test]
    fn the_median_needs_a_majority_and_no_single_clock_moves_it() {
        let cases: [(&[u64], usize, Option<u64>); 8] = [
            (&[], 1, None),
            (&[7], 1, Some(7)),
            (&[7], 2, None),
            (&[7], 3, None),
            (&[7, 9_999], 3, Some(7)),
            (&[9_999, 7, 8], 3, Some(8)),
            (&[0, 7, 8], 3, Some(7)),
            (&[5, 6, 7, 9_999, 8], 5, Some(7)),
        ];
        for (walls, voters, expected) in cases {
            let reports = walls.iter().copied().map(secs);
            assert_eq!(median(reports, voters), expected.map(secs), "{walls:?} of {voters}");
        }
    }

    #[test]
    fn skew_is_signed_and_bounded() {
        let cases = [(5_000, 5_000, 0, true), (7_000, 5_000, 2_000, true), (2_999, 5_000, -2_001, false)];
        for (wall, median, skew, sane) in cases {
            assert_eq!(clock_skew_ms(millis(wall), millis(median)), skew);
            assert_eq!(is_sane(skew), sane, "{skew} ms");
        }
        assert!(!is_sane(clock_skew_ms(Timestamp(u64::MAX), Timestamp::ZERO)));
        assert!(!is_sane(clock_skew_ms(Timestamp::ZERO, Timestamp(u64::MAX))));
    }

    proptest! {
        #[test]
        fn no_reading_turns_log_time_back(
            last: u64,
            elapsed: u64,
            wall: u64,
            median in any::<Option<u64>>(),
        ) {
            let mut clock = LogClock::start(Timestamp(last));
            let next =
                clock.advance(Duration::from_nanos(elapsed), Timestamp(wall), median.map(Timestamp));
            prop_assert!(next >= Timestamp(last));
            // Only the median can bring it more than 1 % past what the monotonic clock says.
            let fastest = last.saturating_add(elapsed).saturating_add(elapsed / 100);
            prop_assert!(next.0 <= fastest.max(median.unwrap_or(0)));
        }
    }
}
