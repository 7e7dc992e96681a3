//! Nothing of a paused request starts, and it does not end for that either: what is left to do waits for the pause to end, and starts then.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    ids::RequestId,
    workflow::{
        chain::{ChainParts, JobPlace, SequencePlace, ValidChain},
        event::{AfterTry, WorkflowEvent},
    },
};

use super::{Invariant, claims::Claims};
use crate::{ledger::Committed, oracle::Observation};

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
    /// Sequences that are to be reset; nothing of them starts.
    failing: BTreeSet<SequencePlace>,
    is_stopped: bool,
}

impl Invariant for PausedStartNothing {
    fn name(&self) -> &'static str {
        "nothing of a paused request starts, and what is left to do waits for its end"
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
        let mut resumed = committed.workflow().filter_map(|event| match event {
            WorkflowEvent::RequestResumed { request, .. } => Some(*request),
            _ => None,
        });
        resumed.try_for_each(|request| self.goes_on(committed, request))
    }
}

impl PausedStartNothing {
    /// In the entry that ends a pause all starts that could have before.
    fn goes_on(&self, committed: &Committed, request: RequestId) -> Result<(), String> {
        let Some(jobs) = self.requests.get(&request) else { return Ok(()) };
        let live = committed.after.requests.get(&request);
        let owner = live.and_then(|live| live.progress.owner);
        let has_owner = owner
            .and_then(|owner| committed.after.nodes.get(&owner.node))
            .is_some_and(|record| record.is_available() && Some(record.incarnation) == owner);
        let is_free = jobs.paused.is_none() && jobs.failing.is_empty() && !jobs.is_stopped;
        let chain = &self.claims.created(request).chain;
        match jobs.left_to_do(chain).filter(|_| is_free && has_owner) {
            Some(job) => Err(format!(
                "index {}: request {request} is resumed, and {} is left to do",
                committed.index,
                chain.job(job).name
            )),
            None => Ok(()),
        }
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
            WorkflowEvent::SequenceFailed { sequence, .. } => {
                self.failing.insert(*sequence);
            }
            WorkflowEvent::SequenceReset { sequence, retry_at, .. } => {
                self.failing.retain(|inner| !chain.encloses(*sequence, *inner));
                for job in chain.members(*sequence) {
                    self.complete.remove(job);
                    self.begun.remove(job);
                }
                // What waits for its time has begun.
                self.begun.extend(retry_at.map(|_| chain.sequence(*sequence).begin));
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
