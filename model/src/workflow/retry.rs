//! What becomes of a job when a try of it ends.

use std::{sync::Arc, time::Duration};

use super::{
    chain::{JobPlace, JobSpec},
    command::{TryEnd, TryReport},
    event::AfterTry,
    job::{JOB_DATA_BYTES_MAX, Job, Phase, is_noop},
    json::{self, JsonMap},
    request::LiveRequest,
};
use crate::{
    spec::{Backoff, Wait},
    time::Timestamp,
};

/// How often a job may be run again because its node was lost, without spending its budget.
const RUNS_AGAIN_MAX: u32 = 3;

/// Why a try is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It ended by itself, or because its request was stopped.
    Reported,
    /// It ended while its node was being drained, most likely because of that.
    Drained,
    /// Its node was lost.
    Lost,
    /// It was out of time.
    Overdue,
    /// Somebody rejected it.
    Rejected,
}

/// Decides whether the job is done, tried again or has failed, and corrects the report where the request's
/// state decides (`reference/spin-cycle.md` 4.2).
pub(super) fn after_try(
    live: &LiveRequest,
    job: JobPlace,
    report: &mut TryReport,
    cause: Cause,
    at: Timestamp,
) -> AfterTry {
    let stopped = live.progress.stopped_at.is_some();
    if cause == Cause::Rejected && !mutant!("rejected-is-asked-again") {
        return AfterTry::Failed;
    }
    if cause == Cause::Overdue {
        fail_overdue(live, job, report);
    }
    let drained = cause == Cause::Drained && !stopped;
    // A job that has to be killed for a user's stop has failed; a drain is none of its doing.
    if drained && report.end == TryEnd::KilledStopping
        || (drained || stopped) && matches!(report.end, TryEnd::Failed | TryEnd::Unknown | TryEnd::CutOff)
    {
        report.end = TryEnd::Stopped;
    }
    let stop_reason = live.stop_reason();
    if report.end == TryEnd::Stopped && !stop_reason.is_empty() {
        report.error = stop_reason;
    }
    report.end = match report.end {
        TryEnd::CutOff => TryEnd::Failed,
        TryEnd::StoppedItself => TryEnd::Stopped,
        end => end,
    };
    let (spec, current) = (live.chain().job(job), live.job_at(job));
    let may_run_again = spec.idempotent || mutant!("lost-try-run-again");
    let runs_again = cause == Cause::Lost && may_run_again && current.tries_lost < RUNS_AGAIN_MAX;
    match report.end {
        TryEnd::Complete => AfterTry::Complete,
        // In a sequence that is to be reset nothing starts, so the job waits for that.
        TryEnd::Failed | TryEnd::Unknown | TryEnd::KilledStopping | TryEnd::CutOff
            if live.is_failing(job) =>
        {
            AfterTry::Failed
        }
        TryEnd::Stopped | TryEnd::StoppedItself if live.is_failing(job) => AfterTry::Stopped,
        TryEnd::Stopped if drained => AfterTry::Resumed,
        TryEnd::Stopped | TryEnd::StoppedItself => AfterTry::Stopped,
        TryEnd::KilledStopping => AfterTry::Failed,
        TryEnd::Failed | TryEnd::Unknown | TryEnd::CutOff if runs_again => AfterTry::RunAgain,
        // What could not be started will not start the next time either.
        TryEnd::Failed | TryEnd::Unknown | TryEnd::CutOff if report.started_at == Timestamp::ZERO => {
            AfterTry::Failed
        }
        TryEnd::Failed | TryEnd::Unknown | TryEnd::CutOff => {
            after_failure(spec, current, live.terms.job_backoff(job), at)
        }
    }
}

/// Lets a try fail that was out of time, whatever it says: it had its time, and was told to end.
fn fail_overdue(live: &LiveRequest, job: JobPlace, report: &mut TryReport) {
    let not_begun = report.started_at == Timestamp::ZERO && report.end == TryEnd::Failed;
    if live.progress.stopped_at.is_none() || report.end == TryEnd::Complete {
        report.end = TryEnd::Failed;
    }
    // Why it could not be started says more.
    if !not_begun {
        report.error = overdue(live, job);
    }
}

/// What the log says of a try that was out of time.
fn overdue(live: &LiveRequest, job: JobPlace) -> Arc<str> {
    let after = live.terms.try_timeout(job).map_or("", |timeout| &**timeout.text());
    let undecided = matches!(live.job_at(job).phase, Phase::Awaiting { .. });
    let why = if undecided { ": nobody decided" } else { "" };
    format!("timed out after {after}{why}").into()
}

impl LiveRequest {
    /// What the log says of a try that was stopped with its request; empty if a user stopped it.
    pub(super) fn stop_reason(&self) -> Arc<str> {
        match (&self.terms.timeout, self.control.timed_out_at) {
            (Some(timeout), Some(_)) => format!("the request timed out after {timeout}").into(),
            _ => Arc::default(),
        }
    }
}

fn after_failure(spec: &JobSpec, current: &Job, backoff: Option<&Backoff>, at: Timestamp) -> AfterTry {
    let waits = if mutant!("wait-does-not-grow") { 0 } else { current.tries_failed };
    let wait = wait_after(spec.retry_wait.as_ref(), backoff, waits);
    let retries = spec.retry + u32::from(mutant!("retry-off-by-one"));
    if current.tries_failed >= retries || is_noop(&spec.job_type) {
        AfterTry::Failed
    } else if wait.is_zero() || mutant!("retry-wait-zero") {
        AfterTry::RetryNow
    } else {
        AfterTry::RetryAt(at.after(wait))
    }
}

/// How long to wait before the next try, after so many waits.
pub(super) fn wait_after(wait: Option<&Wait>, backoff: Option<&Backoff>, waits: u32) -> Duration {
    let wait = wait.map_or(Duration::ZERO, Wait::duration);
    backoff.map_or(wait, |backoff| backoff.wait_after(wait, waits))
}

/// Lets a try fail that would leave more job data behind than a job may have: its own, or that of a job after it.
pub(super) fn bound_data(live: &LiveRequest, job: JobPlace, report: &mut TryReport) {
    let own = &*live.job_at(job).data;
    if own.is_empty() && report.job_data.is_empty() {
        return;
    }
    let merged: JsonMap =
        own.iter().chain(&report.job_data).map(|(name, value)| (name.clone(), value.clone())).collect();
    if json::size(&merged) > JOB_DATA_BYTES_MAX {
        report.job_data.clear();
        fail(report, &format!("the job would have more than {JOB_DATA_BYTES_MAX} bytes of job data"));
    } else if report.end == TryEnd::Complete {
        let successors = &live.chain().job(job).successors;
        if let Some(over) =
            successors.iter().find(|successor| size_with(live, **successor, &merged) > JOB_DATA_BYTES_MAX)
        {
            let name = &live.chain().job(*over).name;
            fail(report, &format!("job {name} would get more than {JOB_DATA_BYTES_MAX} bytes of job data"));
        }
    }
}

/// The size of a job's data once its parent hands on `merged`; a name that is there already gets the new value.
fn size_with(live: &LiveRequest, job: JobPlace, merged: &JsonMap) -> usize {
    let data = &live.job_at(job).data;
    let kept = data.iter().filter(|(name, _)| !merged.contains_key(*name));
    kept.map(|(name, value)| name.len() + value.as_str().len()).sum::<usize>() + json::size(merged)
}

fn fail(report: &mut TryReport, error: &str) {
    if report.end == TryEnd::Complete {
        report.end = TryEnd::Failed;
    }
    report.error = error.into();
}
