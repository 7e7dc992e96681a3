//! What each command about requests leads to: a refusal, or an answer and events. Nothing is changed here.

use std::sync::Arc;

use super::{
    chain::JobPlace,
    command::{CreateRequest, CreateWithTerms, FinishTry, StartRetry, StopRequest, TryEnd, TryId, TryReport},
    control::CALLER_BYTES_MAX,
    draft::{Draft, EndOfTry},
    event::WorkflowEvent,
    job::{ERROR_BYTES_MAX, Phase},
    output::{self, Output},
    ownership,
    request::{LiveRequest, RequestState},
    retry::Cause,
    terms::{InvalidTerms, JobData, RetryOf, Terms},
};
use crate::{
    ids::{NodeId, RequestId},
    rejection::{self, Rejection},
    reply::Answer,
    spec_store,
    state::State,
    time::Timestamp,
};

/// What a handler decided.
pub(super) type Decision = Result<(Answer, Vec<WorkflowEvent>), Rejection>;

/// Stores a request; it starts at once if a node can own it.
pub(crate) fn create_request(state: &State, at: Timestamp, create: &Arc<CreateRequest>) -> Decision {
    create_with(state, at, create, &Arc::default(), &Arc::default())
}

/// Stores a request that has something beyond Spin Cycle.
pub(crate) fn create_with_terms(state: &State, at: Timestamp, create: &CreateWithTerms) -> Decision {
    let CreateWithTerms { create, terms, data } = create;
    let invalid = |invalid: InvalidTerms| Rejection::InvalidTerms { reason: invalid.to_string() };
    terms.check(&create.chain).map_err(invalid)?;
    data.check(&create.chain).map_err(invalid)?;
    if let Some(RetryOf { request, .. }) = terms.retry_of
        && state.requests.get(&request).is_some()
    {
        return Err(Rejection::NotFinished { request });
    }
    create_with(state, at, create, terms, data)
}

fn create_with(
    state: &State,
    at: Timestamp,
    create: &Arc<CreateRequest>,
    terms: &Arc<Terms>,
    data: &Arc<JobData>,
) -> Decision {
    if state.requests.get(&create.id).is_some() {
        return Err(Rejection::RequestExists { request: create.id });
    }
    spec_store::require_current(state, create.specs)?;
    let mut draft = Draft::new(state, at);
    let (request, terms, data) = (create.clone(), terms.clone(), data.clone());
    draft.record(WorkflowEvent::RequestCreated { request, terms, data, at });
    draft.admit_renewed(create.id);
    let owner = ownership::choose(draft.nodes, &draft.live, &create.chain);
    sometimes!("a request finds nobody to run it", owner.is_none());
    if let Some(owner) = owner {
        draft.own(create.id, owner);
    }
    let answer = Answer::RequestCreated { id: create.id, created_at: at, running: owner.is_some() };
    Ok((answer, draft.into_events()))
}

/// Takes the report of a try that ended, and starts what that makes runnable.
pub(crate) fn finish_try(state: &State, at: Timestamp, finish: &FinishTry) -> Decision {
    let FinishTry { id, report } = finish;
    let (live, place) = find_try(state, id)?;
    let phase = live.job_at(place).phase;
    if !phase.runs() {
        sometimes!("a result comes twice");
        return Err(Rejection::TryOver { job: id.job, try_no: id.try_no });
    }
    check_size(live, report)?;
    let mut draft = Draft::new(state, at);
    let stopped = live.progress.stopped_at.is_some();
    let cause = match report.end {
        _ if matches!(phase, Phase::Overdue { .. }) && !mutant!("overdue-try-may-complete") => Cause::Overdue,
        TryEnd::CutOff => Cause::Lost,
        // A job that ends while its node is drained was stopped for that, or might as well have been.
        _ if !ownership::may_start(&state.nodes, id.incarnation) => {
            sometimes!("a try ends while its node is drained");
            Cause::Drained
        }
        // So was one that was told to stop, and not for its request: the drain has ended before it did.
        TryEnd::Stopped | TryEnd::KilledStopping if !stopped => Cause::Drained,
        _ => Cause::Reported,
    };
    draft.end_try(id.request, place, id.try_no, EndOfTry { report: report.clone(), cause });
    draft.settle(id.request);
    Ok((Answer::Done, draft.into_events()))
}

/// Starts the next try of a job, once its wait is over.
pub(crate) fn start_retry(state: &State, at: Timestamp, start: &StartRetry) -> Decision {
    let (live, place) = find_try(state, &start.id)?;
    // An owner that is drained starts nothing; the next one will be woken.
    let may_start = ownership::may_start(&state.nodes, start.id.incarnation);
    let may_start = may_start && live.control.paused.is_none();
    match live.job_at(place).phase {
        Phase::RetryWait { until } if until <= at && may_start => {
            let mut draft = Draft::new(state, at);
            draft.make_runnable(start.id.request, place);
            draft.settle(start.id.request);
            Ok((Answer::Done, draft.into_events()))
        }
        _ => {
            sometimes!("a retry is woken that is not due");
            Err(Rejection::NothingDue { job: start.id.job })
        }
    }
}

/// Stops a request: what waits is taken back, what runs is for its owner to stop. A repeat changes nothing.
pub(crate) fn stop_request(state: &State, at: Timestamp, stop: &StopRequest) -> Decision {
    let request = stop.request;
    let live = find(state, stop.request)?;
    if live.progress.stopped_at.is_some() {
        sometimes!("a request is stopped twice");
        return Ok((Answer::RequestStopping { ended: false }, vec![]));
    }
    let mut draft = Draft::new(state, at);
    draft.record(WorkflowEvent::RequestStopped { request, at });
    draft.withdraw_all(request);
    draft.settle(request);
    let ended = draft.live.get(&request).is_none();
    sometimes!("a stop ends a request of which nothing runs", ended);
    sometimes!("a stop finds tries that run", !ended);
    Ok((Answer::RequestStopping { ended }, draft.into_events()))
}

/// Gives requests whose owners may not run them any more, or that wait for one, to nodes that can run them; as many
/// as one command may.
pub(crate) fn take_over(state: &State, at: Timestamp) -> Vec<WorkflowEvent> {
    let mut draft = Draft::new(state, at);
    draft.take_over_some();
    draft.into_events()
}

/// Lets a node that is drained no longer go on with what it still has, and take what waits.
pub(crate) fn go_on(state: &State, at: Timestamp, node: NodeId) -> Vec<WorkflowEvent> {
    let mut draft = Draft::new(state, at);
    if !mutant!("undrain-resumes-nothing") {
        draft.go_on(node);
    }
    draft.take_over_some();
    draft.into_events()
}

/// Ends a request that has been suspended for longer than the setting allows.
pub(crate) fn end_suspended(state: &State, at: Timestamp, request: RequestId) -> Decision {
    let live = find(state, request)?;
    let wait_max = state.settings.suspended_max();
    if !wait_max.is_some_and(|max| live.progress.is_overdue(max, at)) {
        return Err(Rejection::MayWait { request });
    }
    let event = WorkflowEvent::RequestEnded { request, state: RequestState::Failed, at };
    let mut draft = Draft::new(state, at);
    draft.withdraw_all(request);
    draft.record(event);
    Ok((Answer::Done, draft.into_events()))
}

/// Refuses a name of a caller that is longer than it may be.
pub(super) fn check_caller(by: &str) -> Result<(), Rejection> {
    rejection::check_size("the name of a caller", by, CALLER_BYTES_MAX)
}

pub(super) fn find(state: &State, request: RequestId) -> Result<&LiveRequest, Rejection> {
    state.requests.get(&request).ok_or(Rejection::NotLive { request })
}

/// Finds the job of a try, and refuses what names another owner, epoch or try than the current ones.
fn find_try<'a>(state: &'a State, id: &TryId) -> Result<(&'a LiveRequest, JobPlace), Rejection> {
    let live = find(state, id.request)?;
    let progress = &live.progress;
    let is_checked = !mutant!("stale-report-accepted");
    if is_checked && progress.epoch != id.epoch {
        sometimes!("what comes from before a takeover is fenced");
        return Err(Rejection::StaleEpoch { request: id.request, current: progress.epoch, named: id.epoch });
    }
    let is_owner =
        progress.owner == Some(id.incarnation) && ownership::is_current(&state.nodes, id.incarnation);
    if is_checked && !is_owner {
        sometimes!("what comes from a life that owns the request no longer is fenced");
        return Err(Rejection::NotOwner { request: id.request, incarnation: id.incarnation });
    }
    let no_such_job = Rejection::NoSuchJob { request: id.request, job: id.job };
    let place = live.chain().place(id.job).ok_or(no_such_job)?;
    let current = live.job_at(place).try_no;
    if is_checked && current != id.try_no && !mutant!("stale-try-accepted") {
        sometimes!("what names an earlier try is refused");
        return Err(Rejection::StaleTry { job: id.job, current, named: id.try_no });
    }
    Ok((live, place))
}

/// Refuses a report that keeps more than its owner may send; the owner cuts, and sends again.
fn check_size(live: &LiveRequest, report: &TryReport) -> Result<(), Rejection> {
    let stream_max = output::stored_bytes_max(output::stream_bytes_max(live.tally().output_bytes));
    let stream = |what, output: &Output| (what, output.stored_bytes(), stream_max);
    let parts = [
        stream("stdout", &report.stdout),
        stream("stderr", &report.stderr),
        ("the error of a try", report.error.len(), ERROR_BYTES_MAX),
    ];
    match parts.into_iter().find(|(_, bytes, bytes_max)| bytes > bytes_max) {
        None => Ok(()),
        Some((what, bytes, bytes_max)) => Err(Rejection::TooLarge {
            what: what.to_owned(),
            bytes: bytes as u64,
            bytes_max: bytes_max as u64,
        }),
    }
}
