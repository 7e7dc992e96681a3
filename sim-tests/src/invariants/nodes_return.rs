//! In a healed cluster every node can be given work again.

use super::Invariant;
use crate::oracle::Observation;

/// No drain, no leave and no loss outlasts what caused it.
#[derive(Default)]
pub(crate) struct NodesReturn;

impl Invariant for NodesReturn {
    fn name(&self) -> &'static str {
        "in a healed cluster every node can be given work"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Settled { state, .. } = observation else { return Ok(()) };
        match state.nodes.values().find(|record| !record.is_available()) {
            Some(record) => Err(format!("{record:?}")),
            None => Ok(()),
        }
    }
}
