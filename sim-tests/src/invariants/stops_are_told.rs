//! J5: what runs of a request is told of its stop, and a try that it is out of time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use capstan_model::{
    ids::{JobId, RequestId, TryNo},
    workflow::event::WorkflowEvent,
};
use capstan_node::{executor::TryKey, guardian::protocol::End};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// How long a process that heeds SIGTERM may go on where its stop is known: until its actor has looked, and it has ended.
const HEEDED_WITHIN: Duration = Duration::from_secs(2);
/// The same for one that ignores it: it is killed after its grace of ten seconds.
const KILLED_WITHIN: Duration = Duration::from_secs(13);

/// A process does not run to its own end long after its node has applied the stop.
#[derive(Default)]
pub(crate) struct StopsAreTold {
    claims: Claims,
    /// What is stopped at an index.
    stopped: BTreeMap<u64, BTreeSet<Stopped>>,
    /// When a node could first act upon a stop, in microseconds of virtual time.
    known: BTreeMap<(u64, Stopped), u64>,
    standing_still: BTreeSet<u64>,
}

/// A request, or one try of one of its jobs.
type Stopped = (RequestId, Option<(JobId, TryNo)>);

impl Invariant for StopsAreTold {
    fn name(&self) -> &'static str {
        "what runs of a request is told of its stop"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Committed(committed) => {
                for event in committed.workflow() {
                    // What is wrong with the claims themselves is for others to say.
                    drop(self.claims.heed(committed.index, event));
                    let stopped = match event {
                        WorkflowEvent::RequestStopped { request, .. }
                        | WorkflowEvent::RequestTimedOut { request, .. } => (*request, None),
                        WorkflowEvent::TryOverdue { request, job } => {
                            (*request, self.claims.newest_try(*request, *job))
                        }
                        _ => continue,
                    };
                    self.stopped.entry(committed.index).or_default().insert(stopped);
                }
            }
            Observation::Applied { node, index, at_us } => {
                for stopped in self.stopped.get(index).into_iter().flatten() {
                    self.known.insert((*node, *stopped), *at_us);
                }
            }
            Observation::Paused { node } => {
                self.standing_still.insert(*node);
            }
            Observation::Resumed { node, at_us } => {
                self.standing_still.remove(node);
                let of_node = |((of, _), _): &(&(u64, Stopped), &mut u64)| of == node;
                self.known.iter_mut().filter(of_node).for_each(|(_, known_us)| *known_us = *at_us);
            }
            Observation::Crashed { node, .. } => {
                self.standing_still.remove(node);
                self.known.retain(|(of, _), _| of != node);
            }
            Observation::ProcessEnded { process, end: Some(End::Exited(_)), at_us } => {
                let TryKey { request, job, try_no, .. } = process.key;
                let whole = self.known.get(&(process.node, (request, None)));
                let of_try = self.known.get(&(process.node, (request, Some((job, try_no)))));
                let Some(known_us) = whole.into_iter().chain(of_try).min() else { return Ok(()) };
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
