//! A2: what was acknowledged is in the state of every later leader, also after all nodes have crashed at once.

use std::collections::BTreeMap;

use capstan_raft_store::witness::Step;

use super::Invariant;
use crate::oracle::Observation;

/// Who leads has applied all that was acknowledged in earlier terms by the time it has applied the first entry of its own.
#[derive(Default)]
pub(crate) struct AcknowledgedAreKept {
    /// The term of the committed entry at each index.
    terms: BTreeMap<u64, u64>,
    /// The newest index that was acknowledged, by the term of the entry there.
    acknowledged: BTreeMap<u64, u64>,
    /// What each node has applied in its present life.
    applied: BTreeMap<u64, u64>,
}

impl Invariant for AcknowledgedAreKept {
    fn name(&self) -> &'static str {
        "what was acknowledged in earlier terms is applied where one leads"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Committed(committed) => {
                self.terms.insert(committed.index, committed.term);
            }
            Observation::Stepped { node, step, .. } => {
                let applied = match step {
                    Step::Opened { applied, .. } => applied.map_or(0, |applied| applied.index),
                    Step::Installed { at, .. } | Step::Applying { at, .. } => at.index,
                    _ => return Ok(()),
                };
                self.applied.insert(*node, applied);
            }
            Observation::Acknowledged { index } => {
                let Some(term) = self.terms.get(index) else {
                    return Err(format!("index {index} was acknowledged and is not committed"));
                };
                let newest = self.acknowledged.entry(*term).or_default();
                *newest = (*newest).max(*index);
            }
            Observation::Leads { node, term } => {
                let applied = self.applied.get(node).copied().unwrap_or(0);
                let earlier = self.acknowledged.range(..term);
                if let Some((in_term, index)) = earlier.max_by_key(|(_, index)| **index)
                    && *index > applied
                {
                    return Err(format!(
                        "node {node} leads term {term} at index {applied}, and {index} was acknowledged in term {in_term}"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use capstan_model::state::State;
    use capstan_raft_store::witness::{Content, Position};

    use super::*;
    use crate::{invariants::testing::stepped, ledger::Committed};

    #[test]
    fn a_leader_without_what_was_acknowledged_is_refused() {
        let mut kept = AcknowledgedAreKept::default();
        for index in 1..=3 {
            let (before, after) = (State::default(), State::default());
            let committed = Committed {
                index,
                term: 1,
                sent: vec![],
                commands: vec![],
                events: vec![],
                rows: vec![],
                before,
                after,
            };
            kept.observe(&Observation::Committed(&committed)).expect("nothing was acknowledged");
            let applying = Step::Applying { at: Position { term: 1, index }, content: Content::Blank };
            stepped(&mut kept, 1, &applying).expect("nobody leads");
        }
        assert!(kept.observe(&Observation::Acknowledged { index: 4 }).is_err(), "it is nowhere");
        kept.observe(&Observation::Acknowledged { index: 3 }).expect("it is committed");
        assert!(kept.observe(&Observation::Leads { node: 1, term: 2 }).is_ok());
        assert!(kept.observe(&Observation::Leads { node: 2, term: 1 }).is_ok(), "it still leads that term");
        assert!(kept.observe(&Observation::Leads { node: 2, term: 2 }).is_err());
    }
}
