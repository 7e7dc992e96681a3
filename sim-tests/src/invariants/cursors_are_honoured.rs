//! E3: a stream goes on behind any event of which everything that followed is kept, at any node; of none other, and never silently later.

use super::Invariant;
use crate::{events::Step, oracle::Observation};

/// Who names an event goes on behind it if what follows is kept, and is refused if not.
#[derive(Default)]
pub(crate) struct CursorsAreHonoured;

impl Invariant for CursorsAreHonoured {
    fn name(&self) -> &'static str {
        "a stream goes on where what follows is kept, and nowhere else"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Tailed { seen, log } = observation else { return Ok(()) };
        let found = |what: &str, next: usize, floor: usize| {
            format!(
                "node {} {what} event {next} on for tailer {}; kept from {floor} on",
                seen.node, seen.tailer
            )
        };
        match &seen.step {
            Step::Begun(beginning) => {
                let (first, floor) = (log.first_of(beginning), log.floor_at(beginning.index));
                if first < floor { Err(found("goes on from", first, floor)) } else { Ok(()) }
            }
            // The last event that was removed cannot be told from one before it.
            Step::Gone { behind, index } => {
                let (next, floor) = (log.behind(*behind), log.floor_at(*index));
                let may_be_gone = floor > 0 && next <= floor;
                if may_be_gone { Ok(()) } else { Err(found("does not go on from", next, floor)) }
            }
            Step::Told { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_model::history::EventId;

    use crate::{
        events::EventLog,
        invariants::testing::{begun, refused},
    };

    #[test]
    fn what_is_kept_is_told_and_what_is_not_is_refused() {
        let log = EventLog::of(&[(1, "a"), (2, "a"), (2, "a"), (3, "a")]).trimmed(3, 2);
        let gone = |index, ordinal| Step::Gone { behind: EventId { index, ordinal }, index: 3 };
        let steps = vec![begun(Some((1, 0))), begun(Some((2, 0))), begun(None)];
        assert_eq!(refused(&mut CursorsAreHonoured, &log, &[], steps), [0]);
        let steps = vec![gone(1, 0), gone(2, 0), gone(2, 1)];
        assert_eq!(refused(&mut CursorsAreHonoured, &log, &[], steps), [2]);
        let all = EventLog::of(&[(1, "a")]);
        assert_eq!(refused(&mut CursorsAreHonoured, &all, &[], vec![gone(0, 0)]), [0], "nothing was removed");
    }
}
