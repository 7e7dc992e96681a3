//! In a healed cluster whoever follows is told of everything.

use super::Invariant;
use crate::oracle::Observation;

/// Once tailers had time enough, none of them waits for an event that happened before.
#[derive(Default)]
pub(crate) struct EventsArrive;

impl Invariant for EventsArrive {
    fn name(&self) -> &'static str {
        "in a healed cluster every event arrives"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::TailersSettled { places, upto, log } = observation else { return Ok(()) };
        let waits = places.iter().find_map(|place| Some((place, log.untold(place, *upto)?)));
        waits.map_or(Ok(()), |(place, id)| Err(format!("{place:?} was not told of {id}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{EventLog, TailPlace};

    #[test]
    fn who_waits_for_what_has_happened_is_noticed() {
        let log = EventLog::of(&[(3, "a"), (4, "b")]);
        let judge = |told| {
            let places = [TailPlace { tailer: 1, kinds: vec!["b"], told, follows: true }];
            EventsArrive.observe(&Observation::TailersSettled { places: &places, upto: 2, log: &log })
        };
        assert!(judge(2).is_ok() && judge(1).is_err_and(|found| found.contains("4-0")));
    }
}
