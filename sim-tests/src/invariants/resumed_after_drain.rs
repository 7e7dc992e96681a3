//! A try that does not count was stopped because its node was drained, or left.

use std::collections::BTreeMap;

use capstan_model::{
    event::Event,
    ids::NodeId,
    workflow::event::{AfterTry, WorkflowEvent},
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// Only a node that was to give up what it has stops a job that goes on elsewhere.
#[derive(Default)]
pub(crate) struct ResumedAfterDrain {
    claims: Claims,
    /// Up to which index a node was last kept from work; `u64::MAX` while it is.
    kept_until: BTreeMap<NodeId, u64>,
}

impl Invariant for ResumedAfterDrain {
    fn name(&self) -> &'static str {
        "a try that does not count was stopped by a drain"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        for event in &committed.events {
            match event {
                Event::NodeDrained { node, draining: true } => {
                    self.kept_until.insert(*node, u64::MAX);
                }
                Event::NodeLeaving { incarnation } => {
                    self.kept_until.insert(incarnation.node, u64::MAX);
                }
                Event::NodeDrained { node, draining: false } => {
                    self.kept_until.insert(*node, committed.index);
                }
                Event::NodeJoined(joined) => {
                    let node = joined.incarnation.node;
                    let is_drained = committed.after.nodes.get(&node).is_some_and(|record| record.draining);
                    if let Some(kept_until) = self.kept_until.get_mut(&node).filter(|_| !is_drained) {
                        *kept_until = committed.index.min(*kept_until);
                    }
                }
                Event::Workflow(event) => self.heed(committed.index, event)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl ResumedAfterDrain {
    fn heed(&mut self, index: u64, event: &WorkflowEvent) -> Result<(), String> {
        // What is wrong with the claims themselves is for others to say.
        drop(self.claims.heed(index, event));
        let WorkflowEvent::TryEnded(ended) = event else { return Ok(()) };
        if ended.then != AfterTry::Resumed {
            return Ok(());
        }
        let name = (ended.request, self.claims.spec(ended.request, ended.job).id, ended.try_no);
        let Some(claim) = self.claims.of(&name) else { return Ok(()) };
        let kept_until = self.kept_until.get(&claim.owner.node).copied().unwrap_or(0);
        if kept_until >= claim.index {
            return Ok(());
        }
        Err(format!("index {index} ends {name:?}, claimed as {claim:?}, for nothing: {:?}", ended.report))
    }
}
