//! What a node has published it does not take back while it lives.

use std::collections::BTreeMap;

use super::Invariant;
use crate::oracle::Observation;

/// Within a life, index, log time and revision counter never decrease.
#[derive(Default)]
pub(crate) struct AppliedGrows {
    newest: BTreeMap<u64, [u64; 3]>,
}

impl Invariant for AppliedGrows {
    fn name(&self) -> &'static str {
        "index, log time and revision of a life never decrease"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Published { node, life, state } = observation else { return Ok(()) };
        let now = [state.index(), state.log_time().0, state.variables.revision()];
        let before = self.newest.insert(*life, now).unwrap_or_default();
        let has_grown = before.iter().zip(&now).all(|(before, now)| before <= now);
        if has_grown { Ok(()) } else { Err(format!("node {node} went from {before:?} to {now:?}")) }
    }
}
