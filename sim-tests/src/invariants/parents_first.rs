//! J4: a job is claimed when all it depends on is complete, and no more often than its retries allow.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    ids::{RequestId, TryNo},
    workflow::{
        chain::{JobPlace, SequencePlace},
        event::{AfterTry, WorkflowEvent},
    },
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// Claims follow the graph and the budget of retries.
#[derive(Default)]
pub(crate) struct ParentsFirst {
    claims: Claims,
    complete: BTreeSet<(RequestId, JobPlace)>,
    jobs: BTreeMap<(RequestId, JobPlace), Tries>,
}

/// What became of a job so far.
#[derive(Debug, Default)]
struct Tries {
    newest: u32,
    /// Those that spent a retry in the present try of their sequence.
    spent: u32,
}

impl Invariant for ParentsFirst {
    fn name(&self) -> &'static str {
        "a job is claimed after its parents, and as often as its retries allow"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let mut first = Ok(());
        for event in committed.workflow() {
            // What is wrong with the claims themselves is for others to say.
            drop(self.claims.heed(committed.index, event));
            match event {
                WorkflowEvent::RequestCreated { request, .. } => {
                    let kept = self.claims.kept(request.id).map(|job| (request.id, job));
                    self.complete.extend(kept);
                }
                WorkflowEvent::TryStarted { request, job, try_no, .. } => {
                    first = first.and(self.claimed(*request, *job, *try_no));
                }
                WorkflowEvent::TryEnded(ended) => {
                    let (request, job) = (ended.request, ended.job);
                    let is_noop = &*self.claims.spec(request, job).job_type == "noop";
                    if is_noop {
                        first = first.and(self.claimed(request, job, ended.try_no));
                    }
                    match ended.then {
                        AfterTry::Complete => {
                            self.complete.insert((request, job));
                        }
                        AfterTry::Failed | AfterTry::RetryAt(_) | AfterTry::RetryNow => {
                            self.jobs.entry((request, job)).or_default().spent += 1;
                        }
                        AfterTry::Stopped | AfterTry::Resumed | AfterTry::RunAgain => {}
                    }
                }
                WorkflowEvent::SequenceReset { request, sequence, .. } => {
                    self.reset(*request, *sequence);
                }
                _ => {}
            }
        }
        first
    }
}

impl ParentsFirst {
    fn claimed(&mut self, request: RequestId, job: JobPlace, try_no: TryNo) -> Result<(), String> {
        let chain = &self.claims.created(request).chain;
        let spec = chain.job(job);
        let is_parent = |place: &JobPlace| chain.job(*place).successors.contains(&job);
        let early =
            chain.places().filter(is_parent).find(|place| !self.complete.contains(&(request, *place)));
        if let Some(parent) = early {
            let parent = &chain.job(parent).name;
            return Err(format!("request {request} starts {} before {parent} is complete", spec.name));
        }
        let tries = self.jobs.entry((request, job)).or_default();
        let is_next = try_no.0 == tries.newest + 1;
        tries.newest = try_no.0;
        if is_next && tries.spent <= spec.retry {
            return Ok(());
        }
        let (name, retry) = (&spec.name, spec.retry);
        Err(format!("request {request} claims try {try_no:?} of {name} with {retry} retries after {tries:?}"))
    }

    /// A sequence begins anew, with all it encloses; the numbers of tries go on.
    fn reset(&mut self, request: RequestId, sequence: SequencePlace) {
        let chain = &self.claims.created(request).chain;
        let is_inside = |job: &JobPlace| chain.enclosing(*job).any(|place| place == sequence);
        for job in chain.places().filter(is_inside) {
            self.complete.remove(&(request, job));
            self.jobs.entry((request, job)).or_default().spent = 0;
        }
    }
}
