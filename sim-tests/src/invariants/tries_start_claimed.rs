//! J1: a try is started at most once, by the incarnation that claimed it, once it knows that it has.

use std::collections::{BTreeMap, BTreeSet};

use capstan_node::executor::TryKey;

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// No process is made without a claim that its node has applied, and none twice.
#[derive(Default)]
pub(crate) struct TriesStartClaimed {
    claims: Claims,
    applied: BTreeMap<u64, u64>,
    /// What nodes that are down had applied: their guardians still hear what they said before.
    last_applied: BTreeMap<u64, u64>,
    started: BTreeSet<TryKey>,
}

impl Invariant for TriesStartClaimed {
    fn name(&self) -> &'static str {
        "a try starts once, on the incarnation whose claim is applied there"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Committed(committed) => {
                for event in committed.workflow() {
                    // What is wrong with the claims themselves is for others to say.
                    drop(self.claims.heed(committed.index, event));
                }
            }
            Observation::Applied { node, index, .. } => {
                self.applied.insert(*node, *index);
            }
            Observation::Published { node, state, .. } => {
                let applied = self.applied.entry(*node).or_default();
                *applied = state.index().max(*applied);
            }
            Observation::Crashed { node, .. } => {
                self.last_applied.extend(self.applied.remove(node).map(|index| (*node, index)));
            }
            Observation::ProcessStarted { process } => {
                let key = process.key;
                let applied = self.applied.get(&process.node).or(self.last_applied.get(&process.node));
                let applied = applied.copied().unwrap_or(0);
                let claim = self.claims.of(&(key.request, key.job, key.try_no));
                let is_claimed = claim.is_some_and(|claim| {
                    (claim.owner, claim.epoch) == (process.incarnation, key.epoch)
                        && claim.index <= applied
                        && claim.ended.is_none_or(|ended| ended > applied)
                });
                if !is_claimed {
                    return Err(format!("{process:?} started at index {applied}, with {claim:?}"));
                }
                if !self.started.insert(key) {
                    return Err(format!("{process:?} was started before"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
