//! A request that goes on with a finished one keeps what was complete there, and runs the rest; with other args what was approved is asked
//! again.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    ids::RequestId,
    workflow::{
        chain::{JobPlace, ValidChain},
        event::{AfterTry, WorkflowEvent},
        request::RequestState,
        terms::{RetryOf, Terms},
    },
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// What is kept was complete, and is not run unless its sequence is tried again.
#[derive(Default)]
pub(crate) struct CompleteIsKept {
    claims: Claims,
    complete: BTreeMap<RequestId, BTreeSet<JobPlace>>,
    /// What is kept and was not reset since.
    kept: BTreeMap<RequestId, BTreeSet<JobPlace>>,
    ended: BTreeMap<RequestId, RequestState>,
}

impl Invariant for CompleteIsKept {
    fn name(&self) -> &'static str {
        "a request that goes on with another keeps what was complete, and runs the rest"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        for event in committed.workflow() {
            // What is wrong with the claims themselves is for others to say.
            drop(self.claims.heed(committed.index, event));
            self.heed(event).map_err(|found| format!("index {}: {found}: {event:?}", committed.index))?;
        }
        Ok(())
    }
}

impl CompleteIsKept {
    fn heed(&mut self, event: &WorkflowEvent) -> Result<(), String> {
        let request = event.request();
        let complete = self.complete.entry(request).or_default();
        let kept = self.kept.entry(request).or_default();
        match event {
            WorkflowEvent::RequestCreated { request: created, terms, .. } => {
                complete.extend(self.claims.kept(request));
                kept.extend(self.claims.kept(request));
                return self.created(&created.chain, terms);
            }
            WorkflowEvent::TryStarted { job, .. } if kept.contains(job) => {
                return Err("it was complete from the start".to_owned());
            }
            WorkflowEvent::TryEnded(ended) if ended.then == AfterTry::Complete => {
                complete.insert(ended.job);
            }
            WorkflowEvent::SequenceReset { sequence, .. } => {
                for job in self.claims.created(request).chain.members(*sequence) {
                    complete.remove(job);
                    kept.remove(job);
                }
            }
            WorkflowEvent::RequestEnded { state, .. } => {
                self.kept.remove(&request);
                self.ended.insert(request, *state);
            }
            _ => {}
        }
        Ok(())
    }

    fn created(&self, chain: &ValidChain, terms: &Terms) -> Result<(), String> {
        let Some(RetryOf { request: of, kept }) = &terms.retry_of else { return Ok(()) };
        let (ended, complete) = (self.ended.get(of), &self.complete[of]);
        if ended.is_none_or(|state| *state == RequestState::Complete) {
            return Err(format!("request {of} has ended as {ended:?}"));
        }
        let old = &self.claims.created(*of).chain;
        let is_same =
            if chain == old { kept == complete } else { is_found_again(chain, kept, old, complete) };
        if is_same { Ok(()) } else { Err(format!("request {of} has completed {complete:?}")) }
    }
}

/// Whether the same is complete in a graph that was built anew, in which the places are others: all but approvals, and what runs nowhere
/// behind them.
fn is_found_again(
    chain: &ValidChain,
    kept: &BTreeSet<JobPlace>,
    old: &ValidChain,
    complete: &BTreeSet<JobPlace>,
) -> bool {
    let names = |chain: &ValidChain, jobs: &BTreeSet<JobPlace>, left_out: &[&str]| {
        let jobs = jobs.iter().map(|job| chain.job(*job)).filter(|job| !left_out.contains(&&*job.job_type));
        let mut names: Vec<_> = jobs.map(|job| job.name.clone()).collect();
        names.sort_unstable();
        names
    };
    let asked_again = kept.iter().all(|job| &*chain.job(*job).job_type != "approval");
    asked_again && names(chain, kept, &["noop"]) == names(old, complete, &["noop", "approval"])
}
