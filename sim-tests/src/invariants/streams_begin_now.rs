//! A stream that goes on behind no event begins at a state that is as new as anything that anybody was told of before.

use super::Invariant;
use crate::{events::Step, oracle::Observation};

/// What was acknowledged before a stream was asked for is not told by it.
#[derive(Default)]
pub(crate) struct StreamsBeginNow;

impl Invariant for StreamsBeginNow {
    fn name(&self) -> &'static str {
        "a stream that is new begins at the newest state"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Tailed { seen, .. } = observation else { return Ok(()) };
        match &seen.step {
            Step::Begun(it) if it.behind.is_none() && it.index < it.acknowledged => Err(format!(
                "node {} begins at index {}, after a write at index {} was acknowledged",
                seen.node, it.index, it.acknowledged
            )),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::{Beginning, EventLog},
        invariants::testing::refused,
    };

    #[test]
    fn a_new_stream_that_begins_at_an_old_state_is_refused() {
        let begun = |behind, index| Step::Begun(Beginning { behind, index, acknowledged: 5 });
        let behind = Some(capstan_model::history::EventId { index: 1, ordinal: 0 });
        let steps = vec![begun(None, 5), begun(None, 4), begun(behind, 4)];
        assert_eq!(refused(&mut StreamsBeginNow, &EventLog::default(), &[], steps), [1]);
    }
}
