//! The model's own invariants, now and then, since they count everything again.

use capstan_model::invariant;

use super::Invariant;
use crate::oracle::Observation;

/// How many publications pass between two checks: a prime, so that each node has its turn.
const EVERY: u64 = 97;

/// Published states are sound.
#[derive(Default)]
pub(crate) struct SoundState {
    published: u64,
}

impl Invariant for SoundState {
    fn name(&self) -> &'static str {
        "published states keep the model's invariants"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Published { node, state, .. } = observation else { return Ok(()) };
        self.published += 1;
        if !self.published.is_multiple_of(EVERY) {
            return Ok(());
        }
        invariant::check(state)
            .map_err(|violation| format!("node {node}, index {}: {violation}", state.index()))
    }
}
