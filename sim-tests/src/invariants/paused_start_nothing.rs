//! Nothing of a paused request starts, and it does not end for that either: what is left to do waits for the pause to end.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    ids::RequestId,
    workflow::{
        chain::{ChainParts, JobPlace, ValidChain},
        event::{AfterTry, WorkflowEvent},
    },
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// No claim and no place in line between a pause and its end.
#[derive(Default)]
pub(crate) struct PausedStartNothing {
    claims: Claims,
    requests: BTreeMap<RequestId, Jobs>,
}

/// What became of a request so far.
#[derive(Debug, Default)]
struct Jobs {
    /// Since which index it is paused.
    paused: Option<u64>,
    complete: BTreeSet<JobPlace>,
    /// Jobs that have begun in the present try of their sequence.
    begun: BTreeSet<JobPlace>,
    is_stopped: bool,
}

impl Invariant for PausedStartNothing {
    fn name(&self) -> &'static str {
        "nothing of a paused request starts, and what is left to do waits"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let index = committed.index;
        for event in committed.workflow() {
            // What is wrong with the claims themselves is for others to say.
            drop(self.claims.heed(index, event));
            let request = event.request();
            let jobs = self.requests.entry(request).or_default();
            jobs.complete.extend(
                matches!(event, WorkflowEvent::RequestCreated { .. })
                    .then(|| self.claims.kept(request))
                    .into_iter()
                    .flatten(),
            );
            let chain = &self.claims.created(request).chain;
            jobs.heed(index, chain, event).map_err(|found| format!("index {index}: {found}: {event:?}"))?;
            if matches!(event, WorkflowEvent::RequestEnded { .. }) {
                self.requests.remove(&request);
            }
        }
        Ok(())
    }
}

impl Jobs {
    fn heed(&mut self, index: u64, chain: &ValidChain, event: &WorkflowEvent) -> Result<(), String> {
        match event {
            WorkflowEvent::RequestPaused { .. } => {
                if let Some(since) = self.paused.replace(index) {
                    return Err(format!("it is paused since {since}"));
                }
            }
            WorkflowEvent::RequestResumed { .. } => {
                self.paused.take().ok_or("it is not paused")?;
            }
            WorkflowEvent::RequestStopped { .. } | WorkflowEvent::RequestTimedOut { .. } => {
                self.is_stopped = true;
            }
            WorkflowEvent::JobReady { job, .. } | WorkflowEvent::TryStarted { job, .. } => {
                self.begun.insert(*job);
                self.is_free()?;
            }
            WorkflowEvent::TryEnded(ended) => {
                let is_noop = &*chain.job(ended.job).job_type == "noop";
                self.begun.insert(ended.job);
                if ended.then == AfterTry::Complete {
                    self.complete.insert(ended.job);
                }
                if is_noop {
                    self.is_free()?;
                }
            }
            WorkflowEvent::SequenceReset { sequence, .. } => {
                for job in chain.members(*sequence) {
                    self.complete.remove(job);
                    self.begun.remove(job);
                }
            }
            WorkflowEvent::RequestEnded { .. } if self.paused.is_some() && !self.is_stopped => {
                if let Some(job) = self.left_to_do(chain) {
                    return Err(format!("{} is left to do", chain.job(job).name));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn is_free(&self) -> Result<(), String> {
        self.paused.map_or(Ok(()), |since| Err(format!("it is paused since {since}")))
    }

    /// A job that could start. Expansions are left out: whether they may follows from more.
    fn left_to_do(&self, chain: &ValidChain) -> Option<JobPlace> {
        let has_parents = |job: &JobPlace| {
            let mut parents = chain.places().filter(|place| chain.job(*place).successors.contains(job));
            parents.all(|place| self.complete.contains(&place))
        };
        let is_untouched = |job: &JobPlace| !self.complete.contains(job) && !self.begun.contains(job);
        let ChainParts { parallels, .. } = chain.clone().into();
        let expansions = parallels.iter().flat_map(|parallel| &parallel.expansions);
        let expanded: BTreeSet<JobPlace> = expansions.map(|expansion| expansion.first).collect();
        chain.places().filter(is_untouched).filter(|job| !expanded.contains(job)).find(has_parents)
    }
}
