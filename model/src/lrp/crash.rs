//! When an instance that crashed is started again. The numbers are Diego's.

use std::time::Duration;

use super::actual::{Actual, Phase};
use crate::time::Timestamp;

/// From this crash on a restart waits; those before are started again at once.
pub const WAITS_FROM: u32 = 3;
/// How long the first wait is.
pub const WAIT_MIN: Duration = Duration::from_secs(30);
/// The longest wait.
pub const WAIT_MAX: Duration = Duration::from_secs(16 * 60);
/// From this crash on nothing is started again.
pub const GIVES_UP_FROM: u32 = 200;
/// An instance that ran for longer than this starts to count anew.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(5 * 60);

/// How often an instance has crashed in a row, if it does now.
pub fn count_after(crashed: &Actual, at: Timestamp) -> u32 {
    let is_long = at.since(crashed.since) > FORGOTTEN_AFTER || mutant!("crash-forgotten-by-any-run");
    let forgotten = crashed.is_running() && is_long;
    if forgotten { 1 } else { crashed.crash_count.saturating_add(1) }
}

/// What a record becomes at its crash number `count`.
pub(super) fn phase_after(count: u32) -> Phase {
    let waits_from = WAITS_FROM + u32::from(mutant!("backoff-off-by-one"));
    if count < waits_from { Phase::unclaimed() } else { Phase::Crashed }
}

/// How long a restart waits after crash number `count`; `None` is for ever.
pub fn wait(count: u32) -> Option<Duration> {
    match count {
        0..WAITS_FROM => Some(Duration::ZERO),
        WAITS_FROM..GIVES_UP_FROM => {
            let doublings = if mutant!("backoff-not-doubled") { 0 } else { (count - WAITS_FROM).min(5) };
            Some((WAIT_MIN * (1 << doublings)).min(WAIT_MAX))
        }
        GIVES_UP_FROM.. => None,
    }
}

/// When a record that has crashed is to be started again; `None` for one that has not, and for one that was given up.
pub fn restart_at(actual: &Actual) -> Option<Timestamp> {
    match actual.phase {
        Phase::Crashed => wait(actual.crash_count).map(|wait| actual.since.after(wait)),
        Phase::Unclaimed { .. } | Phase::Claimed { .. } | Phase::Running { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_crash_waits_and_each_wait_is_twice_as_long_up_to_16_minutes() {
        let cases = [
            (1, Some(0)),
            (2, Some(0)),
            (3, Some(30)),
            (4, Some(60)),
            (5, Some(120)),
            (6, Some(240)),
            (7, Some(480)),
            (8, Some(960)),
            (9, Some(960)),
            (199, Some(960)),
            (200, None),
            (u32::MAX, None),
        ];
        for (count, secs) in cases {
            assert_eq!(wait(count), secs.map(Duration::from_secs), "crash {count}");
            assert_eq!(phase_after(count) == Phase::Crashed, count >= 3, "crash {count}");
        }
    }
}
