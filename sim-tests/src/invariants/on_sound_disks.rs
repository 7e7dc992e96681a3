//! Properties of what a disk keeps, which one that was damaged need not have.

use std::collections::BTreeSet;

use super::Invariant;
use crate::oracle::Observation;

/// A property that is asked of nodes until their data is damaged.
#[derive(Default)]
pub(crate) struct OnSoundDisks<I> {
    property: I,
    damaged: BTreeSet<u64>,
}

impl<I: Invariant> Invariant for OnSoundDisks<I> {
    fn name(&self) -> &'static str {
        self.property.name()
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Damaged { node } => {
                self.damaged.insert(*node);
                Ok(())
            }
            Observation::Stepped { node, .. } if self.damaged.contains(node) => Ok(()),
            _ => self.property.observe(observation),
        }
    }
}

#[cfg(test)]
mod tests {
    use capstan_raft_store::witness::Step;

    use super::*;
    use crate::invariants::testing::stepped;

    /// Nothing may ever step.
    #[derive(Default)]
    struct Still;

    impl Invariant for Still {
        fn name(&self) -> &'static str {
            "nothing steps"
        }

        fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
            if matches!(observation, Observation::Stepped { .. }) { Err("it stepped".into()) } else { Ok(()) }
        }
    }

    #[test]
    fn a_node_is_excused_once_its_data_is_damaged_and_no_other() {
        let mut property = OnSoundDisks::<Still>::default();
        let step = Step::SyncAsked(1);
        assert!(stepped(&mut property, 1, &step).is_err());
        property.observe(&Observation::Damaged { node: 1 }).expect("damage is no step");
        assert!(stepped(&mut property, 1, &step).is_ok());
        assert!(stepped(&mut property, 2, &step).is_err());
    }
}
