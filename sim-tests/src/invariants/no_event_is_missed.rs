//! E2: between two events of a stream there is none that it should have told of as well.

use std::collections::BTreeMap;

use super::Invariant;
use crate::{events::Step, oracle::Observation};

/// Each event of a stream but its first is the next of its kinds that the committed log has.
#[derive(Default)]
pub(crate) struct NoEventIsMissed {
    /// How many events of the log there are up to the last one that each tailer was told of.
    told: BTreeMap<u64, usize>,
}

impl Invariant for NoEventIsMissed {
    fn name(&self) -> &'static str {
        "no event of a stream is missed"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Tailed { seen, log } = observation else { return Ok(()) };
        let Step::Told { id, .. } = &seen.step else {
            self.told.remove(&seen.tailer);
            return Ok(());
        };
        let told = self.told.insert(seen.tailer, log.behind(*id));
        let expected = told.and_then(|told| log.next(told, seen.kinds));
        match expected {
            Some(next) if next.id() < *id => Err(format!(
                "node {} told tailer {} ({:?}) of {id}, and not of {} before",
                seen.node,
                seen.tailer,
                seen.kinds,
                next.id()
            )),
            _ => Ok(()),
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
    fn what_is_left_out_is_noticed_unless_nobody_asked_for_it() {
        let log = EventLog::of(&[(3, "a"), (3, "b"), (4, "b"), (5, "a")]);
        let steps = || vec![begun(None), told(3, 0), told(5, 0)];
        assert_eq!(refused(&mut NoEventIsMissed::default(), &log, &[], steps()), [2]);
        assert_eq!(refused(&mut NoEventIsMissed::default(), &log, &["a"], steps()), [0; 0]);
        let steps = vec![told(3, 0), begun(Some((3, 1))), told(5, 0)];
        assert_eq!(refused(&mut NoEventIsMissed::default(), &log, &[], steps), [0; 0], "another stream");
    }
}
