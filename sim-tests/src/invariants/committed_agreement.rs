//! State machine safety: what is committed at an index is the same everywhere and for ever.

use std::collections::BTreeMap;

use super::Invariant;
use crate::oracle::Observation;

/// The state at an index has one checksum, whoever publishes it and whenever; node 0 is the replay of the log from nothing.
#[derive(Default)]
pub(crate) struct CommittedAgreement {
    checksums: BTreeMap<u64, (u128, u64)>,
}

impl Invariant for CommittedAgreement {
    fn name(&self) -> &'static str {
        "nodes agree on the state at every index"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let (node, state) = match observation {
            Observation::Published { node, state, .. } => (node, *state),
            // Replayed beside the nodes, from nothing.
            Observation::Committed(committed) => (&0, &committed.after),
            _ => return Ok(()),
        };
        let (index, sum) = (state.index(), state.checksum());
        let (first, by) = *self.checksums.entry(index).or_insert((sum, *node));
        if first == sum {
            return Ok(());
        }
        Err(format!("at index {index} node {by} had checksum {first:032x}, node {node} has {sum:032x}"))
    }
}
