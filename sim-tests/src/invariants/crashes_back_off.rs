//! P6: an instance that crashed is started again at once twice, then after 30 s, and after twice as long each time up to 16 minutes, in log time.

use std::time::Duration;

use capstan_model::{
    command::Command,
    event::Event,
    lrp::{
        actual::{Actual, Phase, Presence},
        command::LrpCommand,
        event::LrpEvent,
    },
    time::Timestamp,
};

use super::Invariant;
use crate::{ledger::Committed, oracle::Observation};

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
            let Event::Lrp(LrpEvent::ActualChanged { before, after, .. }) = event else { continue };
            let follows = match (&before.phase, &after.phase) {
                (Phase::Crashed, _) => is_due(now, before) && after.crash_count == before.crash_count,
                _ if has_crashed(committed, before) => counts(now, before, after),
                (_, Phase::Crashed) => false,
                _ => after.crash_count == before.crash_count,
            };
            if !follows {
                return Err(format!("at {}, {now:?}: {event:?}", committed.index));
            }
        }
        Ok(())
    }
}

/// Whether the crash of the instance of this record is reported, and not that of a copy that evacuates.
fn has_crashed(committed: &Committed, before: &Actual) -> bool {
    let is_told = committed.commands.iter().any(|(command, reply)| match command {
        Command::Lrp(LrpCommand::Crashed { instance, .. }) => {
            before.instance() == Some(*instance) && reply.is_ok()
        }
        _ => false,
    });
    let is_evacuated = committed.events.iter().any(|event| match event {
        Event::Lrp(LrpEvent::ActualCreated { presence: Presence::Evacuating, actual, .. }) => {
            actual.instance() == before.instance()
        }
        _ => false,
    });
    is_told && !is_evacuated
}

fn is_due(now: Timestamp, crashed: &Actual) -> bool {
    wait(crashed.crash_count).is_some_and(|wait| now >= crashed.since.after(wait))
}

fn counts(now: Timestamp, before: &Actual, after: &Actual) -> bool {
    if before.instance() == after.instance() {
        // It became healthy before it crashed, in one entry.
        return after.crash_count == before.crash_count;
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
