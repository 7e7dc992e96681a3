//! Jobs that wait for somebody to decide: the type `approval`. They run nowhere, take no slot, and survive every change of owner.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    LiveRequests,
    archive_rows::decision_key,
    chain::JobPlace,
    command::{DecideApproval, TryEnd, TryReport},
    draft::{Draft, EndOfTry},
    event::{AfterTry, EndedTry, WorkflowEvent},
    handle::{self, Decision as Decided},
    job::Phase,
    output::Output,
    retry::Cause,
};
use crate::{
    ids::{RequestId, TryNo},
    rejection::{self, Rejection},
    reply::Answer,
    rows::RowSink,
    state::State,
    time::Timestamp,
};

/// The longest comment, in bytes.
pub const COMMENT_BYTES_MAX: usize = 4 * 1024;

/// What was decided about one try of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether the jobs after it may run.
    pub approved: bool,
    /// Who decided; empty without auth.
    pub by: Arc<str>,
    /// Why, in their words; may be empty.
    pub comment: Arc<str>,
    /// When, in log time.
    pub at: Timestamp,
}

impl Decision {
    /// One line for people: `approved by ann: looks good`.
    pub fn text(&self) -> String {
        let verb = if self.approved { "approved" } else { "rejected" };
        let by = if self.by.is_empty() { String::new() } else { format!(" by {}", self.by) };
        let comment = if self.comment.is_empty() { String::new() } else { format!(": {}", self.comment) };
        format!("{verb}{by}{comment}")
    }
}

/// Ends an approval as somebody decided. A rejection is final: neither the job nor a sequence around it is tried again.
pub(crate) fn decide(state: &State, at: Timestamp, decide: &DecideApproval) -> Decided {
    let DecideApproval { request, job, try_no, approved, by, comment } = decide;
    rejection::check_size("a comment", comment, COMMENT_BYTES_MAX)?;
    handle::check_caller(by)?;
    let live = handle::find(state, *request)?;
    let (request, job) = (*request, *job);
    let place = live.chain().place(job).ok_or(Rejection::NoSuchJob { request, job })?;
    let current = live.job_at(place);
    let Phase::Awaiting { since } = current.phase else {
        return Err(Rejection::NotAwaiting { request, job });
    };
    if current.try_no != *try_no {
        return Err(Rejection::StaleTry { job, current: current.try_no, named: *try_no });
    }
    let decision = Arc::new(Decision { approved: *approved, by: by.clone(), comment: comment.clone(), at });
    let report = decided_report(&decision, since);
    let cause = if *approved { Cause::Reported } else { Cause::Rejected };
    let mut draft = Draft::new(state, at);
    sometimes!("an approval is rejected", !approved);
    sometimes!("an approval is decided in a paused request", live.control.paused.is_some());
    draft.record(WorkflowEvent::ApprovalDecided { request, job: place, try_no: *try_no, decision });
    draft.end_try(request, place, *try_no, EndOfTry { report, cause });
    draft.settle(request);
    Ok((Answer::Done, draft.into_events()))
}

impl Draft<'_> {
    /// Ends the approvals among some jobs that nobody needs to decide any more.
    pub(super) fn end_approvals(&mut self, request: RequestId, among: &[JobPlace], why: &str) {
        for place in among {
            let job = self.job(request, *place).1;
            let Phase::Awaiting { since } = job.phase else { continue };
            let try_no = job.try_no;
            let report = TryReport::unwritten(TryEnd::Stopped, why.into(), since, self.at);
            let ended = EndedTry { request, job: *place, try_no, report, then: AfterTry::Stopped };
            self.record(WorkflowEvent::TryEnded(Box::new(ended)));
        }
    }

    /// Ends an approval that nobody decided in time; it may be asked again.
    pub(super) fn expire_approval(
        &mut self,
        request: RequestId,
        job: JobPlace,
        try_no: TryNo,
        since: Timestamp,
    ) {
        let report = TryReport::unwritten(TryEnd::Failed, Arc::default(), since, self.at);
        self.end_try(request, job, try_no, EndOfTry { report, cause: Cause::Overdue });
        self.settle(request);
    }
}

impl LiveRequests {
    /// Keeps what was decided about an approval in the archive; a rejection is also heeded.
    pub(super) fn note_decision(
        &mut self,
        request: RequestId,
        job: JobPlace,
        try_no: TryNo,
        decision: &Decision,
        mut sink: Option<&mut RowSink>,
    ) {
        if !decision.approved {
            self.change_request(request, sink.as_deref_mut(), |live| {
                live.control.rejected.insert(job);
            });
        }
        if let Some(sink) = sink.filter(|_| !mutant!("decision-not-kept")) {
            let id = self.live_mut(request).chain().job(job).id;
            sink.archive(&decision_key(request).fixed(&id.0).u32(try_no.0), decision);
        }
    }
}

fn decided_report(decision: &Decision, since: Timestamp) -> TryReport {
    let text = decision.text();
    let end = if decision.approved { TryEnd::Complete } else { TryEnd::Failed };
    let report = TryReport::unwritten(end, Arc::default(), since, decision.at);
    if decision.approved {
        // Not compressed: what is stored here must not depend on a compressor's version.
        TryReport { stdout: Output::Plain(text.into()), ..report }
    } else {
        TryReport { error: text.into(), ..report }
    }
}
