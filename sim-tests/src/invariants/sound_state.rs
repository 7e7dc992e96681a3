//! The model's own invariants, now and then, since they count everything again, and whenever a node is undrained.

use capstan_model::{command::Command, invariant};

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
        if let Observation::Committed(committed) = observation {
            // What a node takes up again is started in that entry or perhaps never; anything else may start it before the next check.
            let undrains = |(command, _): &(_, _)| matches!(command, Command::UndrainNode { .. });
            let is_undrained = committed.commands.iter().any(undrains);
            let judged = if is_undrained { invariant::check(&committed.after) } else { Ok(()) };
            return judged.map_err(|violation| format!("index {}: {violation}", committed.index));
        }
        let Observation::Published { node, state, .. } = observation else { return Ok(()) };
        self.published += 1;
        if !self.published.is_multiple_of(EVERY) {
            return Ok(());
        }
        invariant::check(state)
            .map_err(|violation| format!("node {node}, index {}: {violation}", state.index()))
    }
}
