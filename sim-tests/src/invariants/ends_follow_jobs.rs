//! A request ends as its jobs did, and one that was out of time has failed.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    ids::RequestId,
    workflow::{
        chain::JobPlace,
        event::{AfterTry, WorkflowEvent},
        request::RequestState,
    },
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// Complete if every job is, stopped if a user did and nothing failed, failed otherwise.
#[derive(Default)]
pub(crate) struct EndsFollowJobs {
    claims: Claims,
    requests: BTreeMap<RequestId, Jobs>,
}

#[derive(Debug, Default)]
struct Jobs {
    complete: BTreeSet<JobPlace>,
    failed: BTreeSet<JobPlace>,
    is_stopped: bool,
    is_out_of_time: bool,
}

impl Invariant for EndsFollowJobs {
    fn name(&self) -> &'static str {
        "a request ends as its jobs did"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        for event in committed.workflow() {
            // What is wrong with the claims themselves is for others to say.
            drop(self.claims.heed(committed.index, event));
            let request = event.request();
            let jobs = self.requests.entry(request).or_default();
            match event {
                WorkflowEvent::RequestCreated { .. } => jobs.complete.extend(self.claims.kept(request)),
                WorkflowEvent::TryEnded(ended) => {
                    match ended.then {
                        AfterTry::Complete => jobs.complete.insert(ended.job),
                        AfterTry::Failed => jobs.failed.insert(ended.job),
                        _ => false,
                    };
                }
                WorkflowEvent::SequenceReset { sequence, .. } => {
                    for job in self.claims.created(request).chain.members(*sequence) {
                        jobs.complete.remove(job);
                        jobs.failed.remove(job);
                    }
                }
                WorkflowEvent::JobWithdrawn { job, .. } => {
                    jobs.failed.remove(job);
                }
                WorkflowEvent::RequestStopped { .. } => jobs.is_stopped = true,
                WorkflowEvent::RequestTimedOut { .. } => jobs.is_out_of_time = true,
                WorkflowEvent::RequestEnded { state, .. } => {
                    let Jobs { complete, failed, is_stopped, is_out_of_time } = &*jobs;
                    let end = if complete.len() == self.claims.created(request).chain.len() {
                        RequestState::Complete
                    } else if *is_stopped && !is_out_of_time && failed.is_empty() {
                        RequestState::Stopped
                    } else {
                        RequestState::Failed
                    };
                    if *state != end {
                        return Err(format!(
                            "index {}: {event:?}, and not {end:?}: {jobs:?}",
                            committed.index
                        ));
                    }
                    self.requests.remove(&request);
                }
                _ => {}
            }
        }
        Ok(())
    }
}
