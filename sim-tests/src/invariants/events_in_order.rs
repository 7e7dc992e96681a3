//! E1: the events of a stream come in the order of their ids, none of them twice.

use std::collections::BTreeMap;

use capstan_model::history::EventId;

use super::Invariant;
use crate::{events::Step, oracle::Observation};

/// Each event that a tailer is told of is behind the one before, and behind the one it named when it went on.
#[derive(Default)]
pub(crate) struct EventsInOrder {
    last: BTreeMap<u64, EventId>,
}

impl Invariant for EventsInOrder {
    fn name(&self) -> &'static str {
        "events come in order, and once"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Tailed { seen, .. } = observation else { return Ok(()) };
        match &seen.step {
            Step::Begun(beginning) => {
                self.last.remove(&seen.tailer);
                self.last.extend(beginning.behind.map(|id| (seen.tailer, id)));
                Ok(())
            }
            Step::Told { id, .. } => match self.last.insert(seen.tailer, *id) {
                Some(last) if last >= *id => {
                    Err(format!("node {} told tailer {} of {id} after {last}", seen.node, seen.tailer))
                }
                _ => Ok(()),
            },
            Step::Gone { .. } => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::EventLog,
        invariants::testing::{begun, refused, told},
    };

    #[test]
    fn an_event_that_comes_again_or_too_late_is_refused() {
        let log = EventLog::of(&[(3, "a"), (3, "a"), (4, "a")]);
        let steps = vec![begun(None), told(3, 0), told(3, 1), told(3, 1), told(4, 0), told(3, 0)];
        assert_eq!(refused(&mut EventsInOrder::default(), &log, &[], steps), [3, 5]);
        let again = vec![told(4, 0), begun(Some((3, 0))), told(3, 0), begun(None), told(3, 1)];
        assert_eq!(refused(&mut EventsInOrder::default(), &log, &[], again), [2], "a stream begins anew");
    }
}
