//! E5: the first event of a stream is the next one behind where it was to begin, also in the middle of an entry.

use std::collections::BTreeMap;

use super::Invariant;
use crate::{
    events::{Beginning, Step, Told},
    oracle::Observation,
};

/// The first event after a beginning is the next of its kinds that the committed log has.
#[derive(Default)]
pub(crate) struct StreamsBeginExactly {
    /// Streams of which nothing was told yet.
    begun: BTreeMap<u64, Beginning>,
}

impl Invariant for StreamsBeginExactly {
    fn name(&self) -> &'static str {
        "a stream begins with the event behind the one that was named"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Tailed { seen, log } = observation else { return Ok(()) };
        match &seen.step {
            Step::Begun(beginning) => {
                self.begun.insert(seen.tailer, *beginning);
                Ok(())
            }
            Step::Told { id, .. } => {
                let Some(beginning) = self.begun.remove(&seen.tailer) else { return Ok(()) };
                let expected = log.next(log.first_of(&beginning), seen.kinds).map(Told::id);
                if expected == Some(*id) {
                    return Ok(());
                }
                let (node, tailer) = (seen.node, seen.tailer);
                Err(format!(
                    "node {node} told tailer {tailer} of {id} and not of {expected:?}: {beginning:?}"
                ))
            }
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
    fn the_first_event_is_the_next_one_also_in_the_middle_of_an_entry() {
        let log = EventLog::of(&[(3, "a"), (3, "b"), (4, "b"), (5, "a")]);
        let judge = |kinds: &[&'static str], behind, first: (u64, u32)| {
            let steps = vec![begun(behind), told(first.0, first.1), told(9, 9)];
            refused(&mut StreamsBeginExactly::default(), &log, kinds, steps)
        };
        assert_eq!(judge(&[], Some((3, 0)), (3, 1)), [0; 0]);
        assert_eq!(judge(&["a"], Some((3, 0)), (5, 0)), [0; 0]);
        assert_eq!(judge(&[], Some((3, 0)), (3, 0)), [1]);
        assert_eq!(judge(&[], Some((3, 0)), (4, 0)), [1], "the rest of the entry is left out");
        assert_eq!(judge(&[], None, (4, 0)), [0; 0], "it began at index 3");
        assert_eq!(judge(&[], None, (5, 0)), [1]);
    }
}
