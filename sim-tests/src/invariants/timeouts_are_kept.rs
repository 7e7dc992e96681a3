//! Tries, approvals and requests end when their time is over: not before it, not long after it, and as failures.

use std::{collections::BTreeMap, time::Duration};

use capstan_model::{
    ids::RequestId,
    spec::Wait,
    time::Timestamp,
    workflow::{
        chain::JobPlace,
        command::TryEnd,
        event::{AfterTry, EndedTry, WorkflowEvent},
    },
};

use super::{Invariant, claims::Claims};
use crate::{ledger::Committed, oracle::Observation};

/// For how much log time one leader may commit other things while something is out of time: many of its looks.
const LATE_MAX: Duration = Duration::from_secs(10);
/// The same of a try that runs: a leader that has not heard its owner leaves it until it has, or takes it for lost.
const TRY_LATE_MAX: Duration = Duration::from_secs(60);
/// How much of the time between two entries counts for that: a leader that stood still could not look.
const STEP_MAX: Duration = Duration::from_millis(500);

/// Counts the time of everything that has a timeout, in log time.
#[derive(Default)]
pub(crate) struct TimeoutsAreKept {
    claims: Claims,
    requests: BTreeMap<RequestId, Times>,
    late: Late,
    late_tries: Late,
}

/// The times of a request.
#[derive(Debug, Default)]
struct Times {
    /// When a node first owned it.
    started: Option<Timestamp>,
    /// Since when it has no owner.
    unowned_since: Option<Timestamp>,
    /// How long it had none between owners.
    unowned: Duration,
    is_stopped: bool,
    tries: BTreeMap<JobPlace, Trying>,
}

/// A try that has a timeout.
#[derive(Debug)]
struct Trying {
    due: Timestamp,
    /// Whether it waits for somebody, and runs nowhere.
    is_approval: bool,
    /// Whether its owner is to stop it.
    is_overdue: bool,
}

/// How long the earliest of what is out of time has been so under one leader.
#[derive(Debug, Default)]
struct Late {
    term: u64,
    due: Option<Timestamp>,
    counted: Duration,
    now: Timestamp,
}

impl Invariant for TimeoutsAreKept {
    fn name(&self) -> &'static str {
        "what has a timeout ends when its time is over, and as a failure"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let now = committed.after.log_time();
        for event in committed.workflow() {
            // What is wrong with the claims themselves is for others to say.
            drop(self.claims.heed(committed.index, event));
            let request = event.request();
            let times = self.requests.entry(request).or_default();
            let heeded = times.heed(&self.claims, now, event);
            heeded.map_err(|found| {
                format!("index {}, log time {now:?}: {found}: {event:?}", committed.index)
            })?;
            if matches!(event, WorkflowEvent::RequestEnded { .. }) {
                self.requests.remove(&request);
            }
        }
        let requests = || self.requests.iter();
        let of_request = requests().filter_map(|(request, times)| {
            times.due(self.claims.terms(*request).timeout.as_ref()).map(|due| (due, *request))
        });
        let of_tries = |is_approval| {
            requests().filter_map(move |(request, times)| Some((times.earliest(is_approval)?, *request)))
        };
        let (earliest, try_earliest) = (of_request.chain(of_tries(true)).min(), of_tries(false).min());
        self.late.heed(committed, (now, earliest), LATE_MAX)?;
        self.late_tries.heed(committed, (now, try_earliest), TRY_LATE_MAX)
    }
}

impl Times {
    fn heed(&mut self, claims: &Claims, now: Timestamp, event: &WorkflowEvent) -> Result<(), String> {
        match event {
            WorkflowEvent::RequestOwned { .. } => {
                self.started.get_or_insert(now);
                self.unowned += self.unowned_since.take().map_or(Duration::ZERO, |since| now.since(since));
            }
            WorkflowEvent::RequestSuspended { .. } => self.unowned_since = Some(now),
            WorkflowEvent::RequestStopped { .. } => self.is_stopped = true,
            WorkflowEvent::RequestTimedOut { request, .. } => {
                let due = self.due(claims.terms(*request).timeout.as_ref());
                self.is_stopped = true;
                return is_over(due, now);
            }
            WorkflowEvent::TryStarted { request, job, .. } => {
                if let Some(timeout) = claims.terms(*request).try_timeout(*job) {
                    let due = now.after(timeout.duration());
                    let is_approval = &*claims.spec(*request, *job).job_type == "approval";
                    self.tries.insert(*job, Trying { due, is_approval, is_overdue: false });
                }
            }
            WorkflowEvent::TryOverdue { job, .. } => {
                let trying = self.tries.get_mut(job).filter(|trying| !trying.is_overdue && !self.is_stopped);
                let due = trying.map(|trying| {
                    trying.is_overdue = true;
                    trying.due
                });
                return is_over(due, now);
            }
            WorkflowEvent::TryEnded(ended) => {
                let is_approval = &*claims.spec(ended.request, ended.job).job_type == "approval";
                return self.ended(is_approval, now, ended);
            }
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, is_approval: bool, now: Timestamp, ended: &EndedTry) -> Result<(), String> {
        let trying = self.tries.remove(&ended.job);
        let has_failed = matches!(ended.then, AfterTry::Failed | AfterTry::RetryAt(_) | AfterTry::RetryNow);
        let is_overdue = trying.as_ref().is_some_and(|trying| trying.is_overdue);
        let is_passed_over =
            matches!(ended.then, AfterTry::Complete | AfterTry::Resumed | AfterTry::RunAgain);
        if is_overdue && is_passed_over && !self.is_stopped {
            return Err("it was out of time".to_owned());
        }
        // Those that were rejected say so.
        let nobody_decided =
            ended.report.end == TryEnd::Failed && !ended.report.error.starts_with("rejected");
        if is_approval && has_failed && nobody_decided {
            return is_over(trying.map(|trying| trying.due), now);
        }
        Ok(())
    }

    /// When the request is out of time.
    fn due(&self, timeout: Option<&Wait>) -> Option<Timestamp> {
        let counts = !self.is_stopped && self.unowned_since.is_none();
        let started = self.started.filter(|_| counts)?;
        Some(started.after(timeout?.duration()).after(self.unowned))
    }

    /// When one of its tries, or of its approvals, is out of time that is not known to be.
    fn earliest(&self, is_approval: bool) -> Option<Timestamp> {
        let counts = |trying: &&Trying| trying.is_approval == is_approval && !trying.is_overdue;
        let tries = self.tries.values().filter(counts).filter(|_| !self.is_stopped);
        tries.map(|trying| trying.due).min()
    }
}

impl Late {
    fn heed(
        &mut self,
        committed: &Committed,
        (now, earliest): (Timestamp, Option<(Timestamp, RequestId)>),
        late_max: Duration,
    ) -> Result<(), String> {
        let due = earliest.map(|(due, _)| due).filter(|due| *due <= now);
        let goes_on = due.is_some() && self.due == due && self.term == committed.term;
        let step = now.since(self.now).min(STEP_MAX);
        let counted = if goes_on { self.counted + step } else { Duration::ZERO };
        *self = Self { term: committed.term, due, counted, now };
        if counted <= late_max {
            return Ok(());
        }
        self.counted = Duration::ZERO;
        Err(format!(
            "index {}, log time {now:?}: out of time for {counted:?} under one leader: {earliest:?}",
            committed.index
        ))
    }
}

fn is_over(due: Option<Timestamp>, now: Timestamp) -> Result<(), String> {
    if due.is_some_and(|due| due <= now) { Ok(()) } else { Err(format!("its time is over at {due:?}")) }
}
