//! Pausing: nothing of a paused request starts, and no wait between tries ends; what runs goes on to its end.

use super::{
    chain::JobPlace,
    command::{PauseRequest, ResumeRequest},
    draft::Draft,
    event::WorkflowEvent,
    handle::{self, Decision},
    request::LiveRequest,
};
use crate::{ids::RequestId, rejection::Rejection, reply::Answer, state::State, time::Timestamp};

/// Pauses a request; a repeat changes nothing.
pub(crate) fn pause(state: &State, at: Timestamp, pause: &PauseRequest) -> Decision {
    handle::check_caller(&pause.by)?;
    let (request, by) = (pause.request, pause.by.clone());
    let live = find(state, request)?;
    if live.control.paused.is_some() {
        return Ok((Answer::Done, vec![]));
    }
    sometimes!("a request is paused while its jobs run", live.tally().running > 0);
    let mut draft = Draft::new(state, at);
    draft.record(WorkflowEvent::RequestPaused { request, by, at });
    Ok((Answer::Done, draft.into_events()))
}

/// Lets a paused request go on; one that is not paused is left as it is.
pub(crate) fn resume(state: &State, at: Timestamp, resume: &ResumeRequest) -> Decision {
    handle::check_caller(&resume.by)?;
    let (request, by) = (resume.request, resume.by.clone());
    let live = find(state, request)?;
    if live.control.paused.is_none() {
        return Ok((Answer::Done, vec![]));
    }
    let mut draft = Draft::new(state, at);
    draft.record(WorkflowEvent::RequestResumed { request, by });
    let frontier: Vec<JobPlace> = draft.request(request).frontier().collect();
    let frontier = if mutant!("resume-starts-nothing") { Vec::new() } else { frontier };
    sometimes!("a request that is resumed has something to start", !frontier.is_empty());
    frontier.into_iter().for_each(|job| draft.make_runnable(request, job));
    draft.settle(request);
    Ok((Answer::Done, draft.into_events()))
}

/// A request that goes on: of one that is being stopped nothing starts any more, paused or not.
fn find(state: &State, request: RequestId) -> Result<&LiveRequest, Rejection> {
    let live = handle::find(state, request)?;
    if live.progress.stopped_at.is_some() {
        return Err(Rejection::Stopping { request });
    }
    Ok(live)
}
