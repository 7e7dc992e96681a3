//! J5: what runs of a request is told of its stop.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use capstan_model::{ids::RequestId, workflow::event::WorkflowEvent};
use capstan_node::guardian::protocol::End;

use super::Invariant;
use crate::oracle::Observation;

/// How long a process that heeds SIGTERM may go on where its stop is known: until its actor has looked, and it has ended.
const HEEDED_WITHIN: Duration = Duration::from_secs(2);
/// The same for one that ignores it: it is killed after its grace of ten seconds.
const KILLED_WITHIN: Duration = Duration::from_secs(13);

/// A process does not run to its own end long after its node has applied the stop.
#[derive(Default)]
pub(crate) struct StopsAreTold {
    /// The requests that are stopped at an index.
    stopped: BTreeMap<u64, BTreeSet<RequestId>>,
    /// When a node could first act upon a stop, in microseconds of virtual time.
    known: BTreeMap<(u64, RequestId), u64>,
    standing_still: BTreeSet<u64>,
}

impl Invariant for StopsAreTold {
    fn name(&self) -> &'static str {
        "what runs of a request is told of its stop"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Committed(committed) => {
                for event in committed.workflow() {
                    if let WorkflowEvent::RequestStopped { request, .. } = event {
                        self.stopped.entry(committed.index).or_default().insert(*request);
                    }
                }
            }
            Observation::Applied { node, index, at_us } => {
                for request in self.stopped.get(index).into_iter().flatten() {
                    self.known.insert((*node, *request), *at_us);
                }
            }
            Observation::Paused { node } => {
                self.standing_still.insert(*node);
            }
            Observation::Resumed { node, at_us } => {
                self.standing_still.remove(node);
                let of_node = |((of, _), _): &(&(u64, RequestId), &mut u64)| of == node;
                self.known.iter_mut().filter(of_node).for_each(|(_, known_us)| *known_us = *at_us);
            }
            Observation::Crashed { node, .. } => {
                self.standing_still.remove(node);
                self.known.retain(|(of, _), _| of != node);
            }
            Observation::ProcessEnded { process, end: Some(End::Exited(_)), at_us } => {
                let key = (process.node, process.key.request);
                let Some(known_us) = self.known.get(&key) else { return Ok(()) };
                if self.standing_still.contains(&process.node) {
                    return Ok(());
                }
                let went_on = Duration::from_micros(at_us - known_us.max(&process.started_us));
                let within = if process.heeds { HEEDED_WITHIN } else { KILLED_WITHIN };
                if went_on > within {
                    return Err(format!("{process:?} went on for {went_on:?}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
