//! What becomes of a job when a try of it ends.

use std::time::Duration;

use super::{
    chain::JobPlace,
    command::{TryEnd, TryReport},
    event::AfterTry,
    job::JOB_DATA_BYTES_MAX,
    json::{self, JsonMap},
    request::LiveRequest,
};
use crate::{spec::Wait, time::Timestamp};

/// Decides whether the job is done, tried again or has failed, and corrects the report where the request's
/// state decides (`reference/spin-cycle.md` 4.2).
pub(super) fn after_try(
    live: &LiveRequest,
    job: JobPlace,
    report: &mut TryReport,
    at: Timestamp,
) -> AfterTry {
    let stopped = live.progress.stopped_at.is_some();
    if stopped && matches!(report.end, TryEnd::Failed | TryEnd::Unknown) {
        report.end = TryEnd::Stopped;
    }
    match report.end {
        TryEnd::Complete => AfterTry::Complete,
        TryEnd::Stopped => AfterTry::Stopped,
        TryEnd::KilledStopping => AfterTry::Failed,
        TryEnd::Failed | TryEnd::Unknown => {
            let (spec, current) = (live.chain().job(job), live.job_at(job));
            let wait = spec.retry_wait.as_ref().map_or(Duration::ZERO, Wait::duration);
            if current.tries_failed >= spec.retry {
                AfterTry::Failed
            } else if wait.is_zero() {
                AfterTry::RetryNow
            } else {
                AfterTry::RetryAt(at.after(wait))
            }
        }
    }
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
