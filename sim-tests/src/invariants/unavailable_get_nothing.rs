//! A node that is drained, leaves or is lost is given no request and no job.

use std::collections::BTreeMap;

use capstan_model::{
    event::Event,
    ids::{Incarnation, NodeId, RequestId},
    workflow::event::WorkflowEvent,
};

use super::Invariant;
use crate::oracle::Observation;

/// Owners are available when they become so, and when something is theirs to start.
#[derive(Default)]
pub(crate) struct UnavailableGetNothing {
    nodes: BTreeMap<NodeId, Availability>,
    owners: BTreeMap<RequestId, Incarnation>,
}

/// What keeps a node from being given work.
#[derive(Debug, Clone, Copy)]
struct Availability {
    newest: Incarnation,
    is_drained: bool,
    /// It leaves, or was lost.
    is_leaving: bool,
}

impl Invariant for UnavailableGetNothing {
    fn name(&self) -> &'static str {
        "a node that is drained, leaves or is lost is given nothing to run"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        for event in &committed.events {
            match event {
                Event::NodeJoined(joined) => {
                    let newest = joined.incarnation;
                    let fresh = Availability { newest, is_drained: false, is_leaving: false };
                    let known = self.nodes.entry(newest.node).or_insert(fresh);
                    (known.newest, known.is_leaving) = (newest, false);
                }
                Event::NodeLost { incarnation } | Event::NodeLeaving { incarnation } => {
                    self.change(incarnation.node, |known| known.is_leaving = true);
                }
                Event::NodeDrained { node, draining } => {
                    self.change(*node, |known| known.is_drained = *draining);
                }
                Event::Workflow(WorkflowEvent::RequestOwned { request, owner, .. }) => {
                    self.owners.insert(*request, *owner);
                    self.given(committed.index, *request)?;
                }
                Event::Workflow(
                    WorkflowEvent::TryStarted { request, .. } | WorkflowEvent::JobReady { request, .. },
                ) => self.given(committed.index, *request)?,
                _ => {}
            }
        }
        Ok(())
    }
}

impl UnavailableGetNothing {
    fn change(&mut self, node: NodeId, change: impl FnOnce(&mut Availability)) {
        if let Some(known) = self.nodes.get_mut(&node) {
            change(known);
        }
    }

    fn given(&self, index: u64, request: RequestId) -> Result<(), String> {
        let owner = self.owners.get(&request);
        let node = owner.and_then(|owner| self.nodes.get(&owner.node));
        let is_available =
            node.is_some_and(|node| Some(&node.newest) == owner && !node.is_drained && !node.is_leaving);
        if is_available {
            return Ok(());
        }
        Err(format!("index {index} gives {owner:?} something of request {request}: {node:?}"))
    }
}
