//! An approval ends as somebody decided, or because its time is over or it is needed no more; a rejection is final. Nothing runs for it.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    ids::{JobId, RequestId, TryNo},
    workflow::{
        chain::JobPlace,
        event::{AfterTry, EndedTry, WorkflowEvent},
    },
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// Each try of an approval is decided at most once, and by nobody else.
#[derive(Default)]
pub(crate) struct ApprovalsAreDecided {
    claims: Claims,
    approvals: BTreeSet<(RequestId, JobId)>,
    /// Those that wait, with the try that does.
    waiting: BTreeMap<(RequestId, JobPlace), TryNo>,
    rejected: BTreeSet<(RequestId, JobPlace)>,
    /// What was decided about the approval whose end comes next.
    decided: Option<bool>,
}

impl Invariant for ApprovalsAreDecided {
    fn name(&self) -> &'static str {
        "an approval ends as somebody decided, and nothing runs for it"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Committed(committed) => {
                for event in committed.workflow() {
                    // What is wrong with the claims themselves is for others to say.
                    drop(self.claims.heed(committed.index, event));
                    let heeded = self.heed(event);
                    heeded.map_err(|found| format!("index {}: {found}: {event:?}", committed.index))?;
                }
                Ok(())
            }
            Observation::ProcessStarted { process } => {
                let key = process.key;
                let is_approval = self.approvals.contains(&(key.request, key.job));
                if is_approval { Err(format!("{process:?} runs for an approval")) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }
}

impl ApprovalsAreDecided {
    fn heed(&mut self, event: &WorkflowEvent) -> Result<(), String> {
        match event {
            WorkflowEvent::RequestCreated { request, .. } => {
                let approvals = request.chain.jobs().iter().filter(|job| &*job.job_type == "approval");
                self.approvals.extend(approvals.map(|job| (request.id, job.id)));
            }
            WorkflowEvent::TryStarted { request, job, try_no, .. } if self.is_approval(*request, *job) => {
                self.waiting.insert((*request, *job), *try_no);
                return self.may_ask(*request, *job);
            }
            WorkflowEvent::JobReady { request, job } => return self.may_ask(*request, *job),
            WorkflowEvent::ApprovalDecided { request, job, try_no, decision } => {
                let waiting = self.waiting.get(&(*request, *job));
                if waiting != Some(try_no) {
                    return Err(format!("{waiting:?} waits"));
                }
                if !decision.approved {
                    self.rejected.insert((*request, *job));
                }
                self.decided = Some(decision.approved);
            }
            WorkflowEvent::TryEnded(ended) if self.is_approval(ended.request, ended.job) => {
                return self.ended(ended);
            }
            _ => {}
        }
        Ok(())
    }

    fn is_approval(&self, request: RequestId, job: JobPlace) -> bool {
        self.approvals.contains(&(request, self.claims.spec(request, job).id))
    }

    fn may_ask(&self, request: RequestId, job: JobPlace) -> Result<(), String> {
        if self.rejected.contains(&(request, job)) { Err("it was rejected".to_owned()) } else { Ok(()) }
    }

    fn ended(&mut self, ended: &EndedTry) -> Result<(), String> {
        let waited = self.waiting.remove(&(ended.request, ended.job));
        if waited != Some(ended.try_no) {
            return Err(format!("{waited:?} waits"));
        }
        let decided = self.decided.take();
        let is_right = match ended.then {
            AfterTry::Complete => decided == Some(true),
            AfterTry::Failed => decided != Some(true),
            AfterTry::Stopped | AfterTry::RetryAt(_) | AfterTry::RetryNow => decided.is_none(),
            AfterTry::Resumed | AfterTry::RunAgain => false,
        };
        if is_right { Ok(()) } else { Err(format!("decided: {decided:?}")) }
    }
}
