//! Raft's election safety (thesis, figure 3.2).

use std::collections::BTreeMap;

use super::Invariant;
use crate::oracle::Observation;

/// No term has two leaders.
#[derive(Default)]
pub(crate) struct ElectionSafety {
    leaders: BTreeMap<u64, u64>,
}

impl Invariant for ElectionSafety {
    fn name(&self) -> &'static str {
        "a term has at most one leader"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Leads { node, term } = observation else { return Ok(()) };
        match self.leaders.insert(*term, *node) {
            Some(other) if other != *node => Err(format!("nodes {other} and {node} lead in term {term}")),
            _ => Ok(()),
        }
    }
}
