//! J4 for sequences: they are tried again whole, as often as their retries allow, and not before all of them has stopped; never again once an
//! approval inside was rejected.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    ids::RequestId,
    workflow::{
        chain::{JobPlace, SequencePlace, ValidChain},
        event::{AfterTry, EndedTry, WorkflowEvent},
    },
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// Failures reach the innermost sequence that has a retry left, and resets wait for what runs.
#[derive(Default)]
pub(crate) struct SequencesRetry {
    claims: Claims,
    requests: BTreeMap<RequestId, Progress>,
}

/// How the sequences of a request stand.
#[derive(Debug, Default)]
struct Progress {
    running: BTreeSet<JobPlace>,
    failing: BTreeSet<SequencePlace>,
    resets: BTreeMap<SequencePlace, u32>,
    /// The sequence whose failure has to be recorded next.
    due: Option<SequencePlace>,
    /// Those around an approval that was rejected.
    rejected: BTreeSet<SequencePlace>,
    /// Whether the end of a rejected approval comes next.
    is_rejection: bool,
    is_stopped: bool,
}

impl Invariant for SequencesRetry {
    fn name(&self) -> &'static str {
        "a sequence is tried again whole, as often as its retries allow, once nothing of it runs"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let mut first = Ok(());
        for event in committed.workflow() {
            // What is wrong with the claims themselves is for others to say.
            drop(self.claims.heed(committed.index, event));
            let request = event.request();
            let chain = &self.claims.created(request).chain;
            let progress = self.requests.entry(request).or_default();
            let heeded = progress.heed(chain, event);
            first =
                first.and(heeded.map_err(|found| format!("index {}: {found}: {event:?}", committed.index)));
            if matches!(event, WorkflowEvent::RequestEnded { .. }) {
                self.requests.remove(&request);
            }
        }
        first
    }
}

impl Progress {
    fn heed(&mut self, chain: &ValidChain, event: &WorkflowEvent) -> Result<(), String> {
        let due = self.due.take();
        match event {
            WorkflowEvent::SequenceFailed { sequence, .. } => {
                self.failing.insert(*sequence);
                return if due == Some(*sequence) { Ok(()) } else { Err(format!("{due:?} has failed")) };
            }
            _ if due.is_some() => return Err(format!("{due:?} has failed and is not tried again")),
            WorkflowEvent::TryStarted { job, .. } => {
                self.running.insert(*job);
                return self.may_start(chain, *job);
            }
            WorkflowEvent::TryEnded(ended) => return self.ended(chain, ended),
            WorkflowEvent::SequenceReset { sequence, .. } => return self.reset(chain, *sequence),
            WorkflowEvent::ApprovalDecided { job, decision, .. } if !decision.approved => {
                self.rejected.extend(chain.enclosing(*job));
                self.is_rejection = true;
            }
            WorkflowEvent::RequestStopped { .. } | WorkflowEvent::RequestTimedOut { .. } => {
                self.is_stopped = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn may_start(&self, chain: &ValidChain, job: JobPlace) -> Result<(), String> {
        if self.is_failing(chain, job) { Err("its sequence is to be reset".to_owned()) } else { Ok(()) }
    }

    fn is_failing(&self, chain: &ValidChain, job: JobPlace) -> bool {
        chain.enclosing(job).any(|sequence| self.failing.contains(&sequence))
    }

    fn ended(&mut self, chain: &ValidChain, ended: &EndedTry) -> Result<(), String> {
        let job = ended.job;
        let is_noop = &*chain.job(job).job_type == "noop";
        self.running.remove(&job);
        if is_noop {
            self.may_start(chain, job)?;
        }
        // What a `noop` fails for stays so.
        let is_final = ended.then == AfterTry::Failed && !is_noop;
        let is_rejection = std::mem::take(&mut self.is_rejection);
        if is_final && !is_rejection && !self.is_stopped && !self.is_failing(chain, job) {
            let may_retry = |sequence: &SequencePlace| {
                self.resets_of(*sequence) < chain.sequence(*sequence).retry
                    && !self.rejected.contains(sequence)
            };
            self.due = chain.enclosing(job).find(may_retry);
        }
        Ok(())
    }

    fn reset(&mut self, chain: &ValidChain, sequence: SequencePlace) -> Result<(), String> {
        let is_outermost =
            !self.failing.iter().any(|other| *other != sequence && chain.encloses(*other, sequence));
        let has_failed = self.failing.contains(&sequence);
        let runs = chain.members(sequence).iter().find(|job| self.running.contains(job)).copied();
        let resets = self.resets_of(sequence) + 1;
        self.failing.retain(|inner| !chain.encloses(sequence, *inner));
        self.resets.retain(|inner, _| !chain.encloses(sequence, *inner));
        self.resets.insert(sequence, resets);
        let retry = chain.sequence(sequence).retry;
        if !has_failed || !is_outermost || runs.is_some() || self.is_stopped || resets > retry {
            return Err(format!(
                "reset {resets} of {retry}; failed: {has_failed}, outermost: {is_outermost}, runs: {runs:?}, stopped: {}",
                self.is_stopped
            ));
        }
        Ok(())
    }

    fn resets_of(&self, sequence: SequencePlace) -> u32 {
        self.resets.get(&sequence).copied().unwrap_or(0)
    }
}
