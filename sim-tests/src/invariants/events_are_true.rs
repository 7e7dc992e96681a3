//! What a stream tells has happened, and as it tells it.

use super::Invariant;
use crate::{events::Step, oracle::Observation};

/// Every event that is told is one of the committed log, with its id, its name and its data.
#[derive(Default)]
pub(crate) struct EventsAreTrue;

impl Invariant for EventsAreTrue {
    fn name(&self) -> &'static str {
        "what is told has happened"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Tailed { seen, log } = observation else { return Ok(()) };
        let Step::Told { id, name, data } = &seen.step else { return Ok(()) };
        let happened = log.find(*id);
        if happened.is_some_and(|happened| happened.is_told(name, data)) {
            return Ok(());
        }
        Err(format!("node {} told {id} {name} {data}, and this happened: {happened:?}", seen.node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_model::history::EventId;
    use serde_json::json;

    use crate::{events::EventLog, invariants::testing::refused};

    #[test]
    fn what_did_not_happen_or_not_so_is_refused() {
        let log = EventLog::of(&[(3, "a"), (4, "b")]);
        let (right, wrong) = (json!({ "number": 0 }), json!({ "number": 1 }));
        let told = |index, name, data| Step::Told { id: EventId { index, ordinal: 0 }, name, data };
        let steps =
            vec![told(3, "a", &right), told(3, "a", &wrong), told(3, "b", &right), told(5, "a", &right)];
        assert_eq!(refused(&mut EventsAreTrue, &log, &[], steps), [1, 2, 3]);
    }
}
