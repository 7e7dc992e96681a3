//! P6: an instance that crashed is started again at once twice, then after 30 s, and after twice as long each time up to 16 minutes, in log time.

use std::time::Duration;

use capstan_model::{
    event::Event,
    lrp::{
        actual::{Actual, Phase, Presence},
        event::LrpEvent,
    },
    time::Timestamp,
};

use super::Invariant;
use crate::oracle::Observation;

/// How many crashes in a row are followed by a start at once.
const AT_ONCE: u32 = 2;
/// How long a restart waits after the next one, in seconds.
const FIRST_WAIT_SECS: u64 = 30;
/// The longest wait, in seconds.
const LONGEST_WAIT_SECS: u64 = 960;
/// From this crash on nothing is started again.
const GIVEN_UP_FROM: u32 = 200;
/// Who has run for longer begins to count anew.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

/// Crashes are counted, and waits kept, as the numbers above say.
#[derive(Default)]
pub(crate) struct CrashesBackOff;

impl Invariant for CrashesBackOff {
    fn name(&self) -> &'static str {
        "an instance that crashes is started again twice at once, and then after longer and longer waits"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let now = committed.after.log_time();
        for event in &committed.events {
            if let Event::Lrp(LrpEvent::ActualChanged { presence: Presence::Ordinary, before, after, .. }) =
                event
                && !follows(now, before, after)
            {
                return Err(format!("at {}, {now:?}: {event:?}", committed.index));
            }
        }
        Ok(())
    }
}

fn follows(now: Timestamp, before: &Actual, after: &Actual) -> bool {
    if let (Phase::Crashed, Phase::Unclaimed { .. }) = (&before.phase, &after.phase) {
        let due = wait(before.crash_count).map(|wait| before.since.after(wait));
        return due.is_some_and(|due| now >= due) && after.crash_count == before.crash_count;
    }
    if before.crash_count == after.crash_count && !matches!(after.phase, Phase::Crashed) {
        // Either nothing crashed, or the first crash after a long run follows on another first one.
        return true;
    }
    let has_run_long = before.is_running() && now.since(before.since) > FORGOTTEN_AFTER;
    let count = if has_run_long { 1 } else { before.crash_count + 1 };
    let waits = matches!(after.phase, Phase::Crashed);
    after.crash_count == count && waits == (count > AT_ONCE) && after.since == now
}

fn wait(count: u32) -> Option<Duration> {
    let secs = (0..count.saturating_sub(AT_ONCE + 1))
        .try_fold(FIRST_WAIT_SECS, |secs, _| Some(secs * 2).filter(|secs| *secs <= LONGEST_WAIT_SECS));
    (count < GIVEN_UP_FROM).then(|| Duration::from_secs(secs.unwrap_or(LONGEST_WAIT_SECS)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_16_minutes() {
        let secs = |count| wait(count).map(|wait| wait.as_secs());
        let expected = [Some(30), Some(60), Some(120), Some(240), Some(480), Some(960), Some(960)];
        assert_eq!([3, 4, 5, 6, 7, 8, 100].map(secs), expected);
        assert_eq!(secs(GIVEN_UP_FROM), None);
    }
}
