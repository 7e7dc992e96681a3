//! In a healed cluster every node can be given work again, but those whose data is damaged for good.

use capstan_model::ids::NodeId;

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
        let Observation::Settled { state, serving, .. } = observation else { return Ok(()) };
        let mut records = serving.iter().filter_map(|node| state.nodes.get(&NodeId(*node)));
        match records.find(|record| !record.is_available()) {
            Some(record) => Err(format!("{record:?}")),
            None => Ok(()),
        }
    }
}
