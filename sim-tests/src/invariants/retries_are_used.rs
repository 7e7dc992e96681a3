//! J4 for retries: all that a job has are used, each after the wait its spec asks for, and only what is idempotent is run again for nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use capstan_model::{
    ids::RequestId,
    spec::{Backoff, Wait},
    time::Timestamp,
    workflow::{
        chain::{JobPlace, JobSpec, SequencePlace, ValidChain},
        command::TryEnd,
        event::{AfterTry, EndedTry, WorkflowEvent},
        terms::Terms,
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
    /// How often each sequence was reset in the present try of the one around it.
    resets: BTreeMap<SequencePlace, u32>,
    /// Approvals that were rejected.
    rejected: BTreeSet<JobPlace>,
    is_stopped: bool,
}

/// What a request was created with.
struct Created<'a> {
    chain: &'a ValidChain,
    terms: &'a Terms,
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
            let created = Created { chain, terms: self.claims.terms(request) };
            let heeded = self.requests.entry(request).or_default().heed(&created, now, event);
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
    fn heed(&mut self, created: &Created<'_>, now: Timestamp, event: &WorkflowEvent) -> Result<(), String> {
        let Created { chain, terms } = created;
        match event {
            WorkflowEvent::TryStarted { job, .. } => match self.waits.remove(job) {
                Some(until) if now < until => return Err(format!("it was to wait until {until:?}")),
                _ => {}
            },
            WorkflowEvent::TryEnded(ended) => return self.ended(created, now, ended),
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
                let waits = self.resets.get(sequence).copied().unwrap_or(0);
                self.resets.retain(|inner, _| !chain.encloses(*sequence, *inner));
                self.resets.insert(*sequence, waits + 1);
                self.waits.extend(retry_at.map(|until| (spec.begin, until)));
                let wait = wait_after(waits, spec.retry_wait.as_ref(), terms.sequences.get(sequence));
                return is_due(*retry_at, now, wait);
            }
            WorkflowEvent::ApprovalDecided { job, decision, .. } if !decision.approved => {
                self.rejected.insert(*job);
            }
            WorkflowEvent::RequestStopped { .. } | WorkflowEvent::RequestTimedOut { .. } => {
                self.is_stopped = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, created: &Created<'_>, now: Timestamp, ended: &EndedTry) -> Result<(), String> {
        let Created { chain, terms } = created;
        let (job, spec) = (ended.job, chain.job(ended.job));
        let spent = self.spent.get(&job).copied().unwrap_or(0);
        let backoff = terms.jobs.get(&job).and_then(|terms| terms.backoff.as_ref());
        let wait = wait_after(spent, spec.retry_wait.as_ref(), backoff);
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

    /// Whether a failed try is one that others may follow: not of a `noop`, nothing that could not start or was rejected, and nothing that was
    /// stopped or is to be reset.
    fn may_retry(&self, chain: &ValidChain, ended: &EndedTry) -> bool {
        let JobSpec { job_type, .. } = chain.job(ended.job);
        let has_failed = matches!(ended.report.end, TryEnd::Failed | TryEnd::Unknown);
        let is_failing = chain.enclosing(ended.job).any(|sequence| self.failing.contains(&sequence));
        let has_started = ended.report.started_at != Timestamp::ZERO;
        let is_rejected = self.rejected.contains(&ended.job);
        has_failed && has_started && &**job_type != "noop" && !is_rejected && !self.is_stopped && !is_failing
    }
}

/// Whether a next try comes when the spec says: at once without a wait.
fn is_due(retry_at: Option<Timestamp>, now: Timestamp, wait: Duration) -> Result<(), String> {
    let due = (!wait.is_zero()).then(|| now.after(wait));
    if retry_at == due { Ok(()) } else { Err(format!("the next try is due at {due:?}")) }
}

/// The wait that comes after so many others, in whole nanoseconds after each step.
fn wait_after(waits: u32, wait: Option<&Wait>, backoff: Option<&Backoff>) -> Duration {
    let first = wait.map_or(Duration::ZERO, Wait::duration);
    let Some(Backoff { factor, wait_max }) = backoff else { return first };
    let grown = (0..waits).fold(first, |wait, _| {
        let nanos = wait.as_nanos() * u128::from(factor.thousandths()) / 1_000;
        Duration::from_nanos(u64::try_from(nanos).expect("the simulation's waits are short"))
    });
    wait_max.as_ref().map_or(grown, |max| grown.min(max.duration()))
}
