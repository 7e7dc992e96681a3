//! J5: once a stop is committed nothing of the request starts, be it a user's or that of a request that is out of time.

use std::collections::BTreeMap;

use capstan_model::{ids::RequestId, workflow::event::WorkflowEvent};

use super::Invariant;
use crate::oracle::Observation;

/// No claim after a stop, and no process where the stop was known before.
#[derive(Default)]
pub(crate) struct StopIsFinal {
    stopped: BTreeMap<RequestId, u64>,
    applied: BTreeMap<u64, Applied>,
    resumed_us: BTreeMap<u64, u64>,
}

/// What a node has applied.
#[derive(Debug, Clone, Copy, Default)]
struct Applied {
    index: u64,
    at_us: u64,
    /// What it had applied before that moment: what it is doing just then may rest on no more.
    before: u64,
}

impl Invariant for StopIsFinal {
    fn name(&self) -> &'static str {
        "nothing of a request starts after its stop"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Committed(committed) => {
                for event in committed.workflow() {
                    let stop = self.stopped.get(&event.request());
                    match (event, stop) {
                        (
                            WorkflowEvent::RequestStopped { request, .. }
                            | WorkflowEvent::RequestTimedOut { request, .. },
                            None,
                        ) => {
                            self.stopped.insert(*request, committed.index);
                        }
                        (WorkflowEvent::TryStarted { .. } | WorkflowEvent::JobReady { .. }, Some(stop)) => {
                            return Err(format!("stopped at {stop}, and at {}: {event:?}", committed.index));
                        }
                        _ => {}
                    }
                }
            }
            Observation::Applied { node, index, at_us } => {
                let applied = self.applied.entry(*node).or_default();
                if applied.at_us < *at_us {
                    (applied.at_us, applied.before) = (*at_us, applied.index);
                }
                applied.index = *index;
            }
            Observation::Crashed { node, .. } => {
                self.applied.remove(node);
            }
            Observation::Resumed { node, at_us } => {
                self.resumed_us.insert(*node, *at_us);
            }
            Observation::ProcessStarted { process } => {
                let Some(stop) = self.stopped.get(&process.key.request) else { return Ok(()) };
                let applied = self.applied.get(&process.node).copied().unwrap_or_default();
                let before = if applied.at_us < process.started_us { applied.index } else { applied.before };
                // Whoever stood still in the middle of a start goes on with it.
                let just_resumed = self.resumed_us.get(&process.node) == Some(&process.started_us);
                if before >= *stop && !just_resumed {
                    return Err(format!("{process:?} started where the stop at {stop} was known"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
