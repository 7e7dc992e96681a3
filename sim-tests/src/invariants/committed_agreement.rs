//! State machine safety: what is committed at an index is the same everywhere and for ever.

use std::collections::BTreeMap;

use capstan_raft_store::witness::Step;

use super::Invariant;
use crate::oracle::Observation;

/// The state at an index has one checksum, whoever publishes it or keeps or installs it as a snapshot, and whenever; node 0 is the replay of
/// the log from nothing.
#[derive(Default)]
pub(crate) struct CommittedAgreement {
    checksums: BTreeMap<u64, (u128, u64)>,
}

impl Invariant for CommittedAgreement {
    fn name(&self) -> &'static str {
        "nodes agree on the state at every index"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let (node, index, sum) = match observation {
            Observation::Published { node, state, .. } => (node, state.index(), state.checksum()),
            // Replayed beside the nodes, from nothing.
            Observation::Committed(committed) => (&0, committed.index, committed.after.checksum()),
            Observation::Stepped {
                node,
                step: Step::SnapshotKept { at, checksum } | Step::Installed { at, checksum, .. },
                ..
            } => (node, at.index, *checksum),
            _ => return Ok(()),
        };
        let (first, by) = *self.checksums.entry(index).or_insert((sum, *node));
        if first == sum {
            return Ok(());
        }
        Err(format!("at index {index} node {by} had checksum {first:032x}, node {node} has {sum:032x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants::testing::{at, stepped};

    #[test]
    fn a_snapshot_carries_the_checksum_of_its_index() {
        let mut agreement = CommittedAgreement::default();
        let kept = |index, checksum| Step::SnapshotKept { at: at(index), checksum };
        assert!(stepped(&mut agreement, 1, &kept(7, 1)).is_ok());
        let installed = |checksum| Step::Installed { at: at(7), checksum, voters: vec![] };
        assert!(stepped(&mut agreement, 2, &installed(1)).is_ok());
        assert!(stepped(&mut agreement, 3, &installed(2)).is_err());
    }
}
