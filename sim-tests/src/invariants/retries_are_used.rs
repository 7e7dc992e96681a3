//! J4 for retries: all that a job has are used, after the wait its spec asks for, and only what is idempotent is run again for nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use capstan_model::{
    ids::RequestId,
    spec::Wait,
    time::Timestamp,
    workflow::{
        chain::{JobPlace, JobSpec, SequencePlace, ValidChain},
        command::TryEnd,
        event::{AfterTry, EndedTry, WorkflowEvent},
    },
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// What follows a failed try is what the spec says, in log time.
#[derive(Default)]
pub(crate) struct RetriesAreUsed {
    claims: Claims,
    requests: BTreeMap<RequestId, Progress>,
}

/// How the jobs of a request stand.
#[derive(Debug, Default)]
struct Progress {
    /// How many tries have spent a retry in the present try of their sequence.
    spent: BTreeMap<JobPlace, u32>,
    /// Before when a job's next try must not start.
    waits: BTreeMap<JobPlace, Timestamp>,
    failing: BTreeSet<SequencePlace>,
    is_stopped: bool,
}

impl Invariant for RetriesAreUsed {
    fn name(&self) -> &'static str {
        "a failed try is followed by as many others as the spec says, each after its wait"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let mut first = Ok(());
        let now = committed.after.log_time();
        for event in committed.workflow() {
            // What is wrong with the claims themselves is for others to say.
            drop(self.claims.heed(committed.index, event));
            let request = event.request();
            let chain = &self.claims.created(request).chain;
            let heeded = self.requests.entry(request).or_default().heed(chain, now, event);
            first =
                first.and(heeded.map_err(|found| {
                    format!("index {}, log time {now:?}: {found}: {event:?}", committed.index)
                }));
            if matches!(event, WorkflowEvent::RequestEnded { .. }) {
                self.requests.remove(&request);
            }
        }
        first
    }
}

impl Progress {
    fn heed(&mut self, chain: &ValidChain, now: Timestamp, event: &WorkflowEvent) -> Result<(), String> {
        match event {
            WorkflowEvent::TryStarted { job, .. } => match self.waits.remove(job) {
                Some(until) if now < until => return Err(format!("it was to wait until {until:?}")),
                _ => {}
            },
            WorkflowEvent::TryEnded(ended) => return self.ended(chain, now, ended),
            WorkflowEvent::SequenceFailed { sequence, .. } => {
                self.failing.insert(*sequence);
            }
            WorkflowEvent::SequenceReset { sequence, retry_at, .. } => {
                let spec = chain.sequence(*sequence);
                self.failing.retain(|inner| !chain.encloses(*sequence, *inner));
                for job in chain.members(*sequence) {
                    self.spent.remove(job);
                    self.waits.remove(job);
                }
                self.waits.extend(retry_at.map(|until| (spec.begin, until)));
                return is_due(*retry_at, now, spec.retry_wait.as_ref());
            }
            WorkflowEvent::RequestStopped { .. } => self.is_stopped = true,
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, chain: &ValidChain, now: Timestamp, ended: &EndedTry) -> Result<(), String> {
        let (job, spec) = (ended.job, chain.job(ended.job));
        let spent = self.spent.get(&job).copied().unwrap_or(0);
        let wait = spec.retry_wait.as_ref();
        let follows = match ended.then {
            AfterTry::RetryAt(until) => is_due(Some(until), now, wait),
            AfterTry::RetryNow => is_due(None, now, wait),
            AfterTry::Failed if self.may_retry(chain, ended) && spent < spec.retry => {
                Err(format!("it has failed for good after {spent} of {} retries", spec.retry))
            }
            AfterTry::RunAgain if !spec.idempotent => Err("it is not idempotent".to_owned()),
            _ => Ok(()),
        };
        match ended.then {
            AfterTry::RetryAt(until) => {
                self.waits.insert(job, until);
                self.spent.insert(job, spent + 1);
            }
            AfterTry::Failed | AfterTry::RetryNow => {
                self.spent.insert(job, spent + 1);
            }
            AfterTry::Complete | AfterTry::Stopped | AfterTry::Resumed | AfterTry::RunAgain => {}
        }
        follows
    }

    /// Whether a failed try is one that others may follow: not of a `noop`, nothing that could not start, and nothing that was stopped or
    /// is to be reset.
    fn may_retry(&self, chain: &ValidChain, ended: &EndedTry) -> bool {
        let JobSpec { job_type, .. } = chain.job(ended.job);
        let has_failed = matches!(ended.report.end, TryEnd::Failed | TryEnd::Unknown);
        let is_failing = chain.enclosing(ended.job).any(|sequence| self.failing.contains(&sequence));
        let has_started = ended.report.started_at != Timestamp::ZERO;
        has_failed && has_started && &**job_type != "noop" && !self.is_stopped && !is_failing
    }
}

/// Whether a next try comes when the spec says: at once without a wait.
fn is_due(retry_at: Option<Timestamp>, now: Timestamp, wait: Option<&Wait>) -> Result<(), String> {
    let wait = wait.map_or(Duration::ZERO, Wait::duration);
    let due = (!wait.is_zero()).then(|| now.after(wait));
    if retry_at == due { Ok(()) } else { Err(format!("the next try is due at {due:?}")) }
}
