//! What the log says of tries, for the invariants about them.

use std::{collections::BTreeMap, sync::Arc};

use capstan_model::{
    ids::{Epoch, Incarnation, JobId, RequestId, TryNo},
    workflow::{
        chain::{JobPlace, JobSpec},
        command::CreateRequest,
        event::WorkflowEvent,
        terms::Terms,
    },
};

/// Names a try, whoever owns it.
pub(super) type Try = (RequestId, JobId, TryNo);

/// The claim of a try: its being recorded as running.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Who is to run it.
    pub(super) owner: Incarnation,
    /// Under which ownership.
    pub(super) epoch: Epoch,
    /// The index of the claim.
    pub(super) index: u64,
    /// The index of its end.
    pub(super) ended: Option<u64>,
}

/// All requests and claims so far, counted independently of the model.
#[derive(Default)]
pub(super) struct Claims {
    requests: BTreeMap<RequestId, Known>,
    tries: BTreeMap<Try, Claim>,
}

struct Known {
    created: Arc<CreateRequest>,
    terms: Arc<Terms>,
    owner: Option<Incarnation>,
    epoch: Epoch,
}

impl Claims {
    /// Takes the next event of the log.
    ///
    /// # Errors
    /// It ends a try that has ended before, or starts one a second time.
    pub(super) fn heed(&mut self, index: u64, event: &WorkflowEvent) -> Result<(), String> {
        match event {
            WorkflowEvent::RequestCreated { request, terms, .. } => {
                let (created, terms) = (Arc::clone(request), Arc::clone(terms));
                self.requests.insert(request.id, Known { created, terms, owner: None, epoch: Epoch(0) });
            }
            WorkflowEvent::RequestOwned { request, owner, .. } => {
                if let Some(known) = self.requests.get_mut(request) {
                    known.owner = Some(*owner);
                    known.epoch.0 += 1;
                }
            }
            WorkflowEvent::TryStarted { request, job, try_no, .. } => {
                let name = self.name(*request, *job, *try_no);
                let Some(claim) = self.new_claim(*request, index) else { return Ok(()) };
                if let Some(known) = self.tries.insert(name, claim) {
                    return Err(format!("index {index} claims {name:?}, which has been claimed: {known:?}"));
                }
            }
            WorkflowEvent::TryEnded(ended) => {
                let name = self.name(ended.request, ended.job, ended.try_no);
                // A noop ends without a claim.
                let claim = self.new_claim(ended.request, index);
                match (self.tries.get_mut(&name), claim) {
                    (Some(known), _) => {
                        if let Some(before) = known.ended.replace(index) {
                            return Err(format!(
                                "{name:?} has ended at index {before}, and again at {index}"
                            ));
                        }
                    }
                    (None, claim) => {
                        self.tries.extend(claim.map(|claim| (name, Claim { ended: Some(index), ..claim })));
                    }
                }
            }
            WorkflowEvent::RequestSuspended { .. }
            | WorkflowEvent::JobReady { .. }
            | WorkflowEvent::ExpansionsAdmitted { .. }
            | WorkflowEvent::ParallelClosed { .. }
            | WorkflowEvent::SequenceFailed { .. }
            | WorkflowEvent::SequenceReset { .. }
            | WorkflowEvent::JobWithdrawn { .. }
            | WorkflowEvent::RequestStopped { .. }
            | WorkflowEvent::RequestPaused { .. }
            | WorkflowEvent::RequestResumed { .. }
            | WorkflowEvent::RequestTimedOut { .. }
            | WorkflowEvent::TryOverdue { .. }
            | WorkflowEvent::ApprovalDecided { .. }
            | WorkflowEvent::RequestEnded { .. } => {}
        }
        Ok(())
    }

    /// The claim of a try.
    pub(super) fn of(&self, name: &Try) -> Option<&Claim> {
        self.tries.get(name)
    }

    /// A job with its newest try, if any was claimed.
    pub(super) fn newest_try(&self, request: RequestId, job: JobPlace) -> Option<(JobId, TryNo)> {
        let id = self.spec(request, job).id;
        let of_job = (request, id, TryNo(0))..=(request, id, TryNo(u32::MAX));
        self.tries.range(of_job).next_back().map(|((.., try_no), _)| (id, *try_no))
    }

    /// The job at a place of a request's chain.
    pub(super) fn spec(&self, request: RequestId, job: JobPlace) -> &JobSpec {
        self.requests[&request].created.chain.job(job)
    }

    /// What was asked for.
    pub(super) fn created(&self, request: RequestId) -> &CreateRequest {
        &self.requests[&request].created
    }

    /// What a request has beyond Spin Cycle.
    pub(super) fn terms(&self, request: RequestId) -> &Terms {
        &self.requests[&request].terms
    }

    /// The jobs that are complete from the start, in a request that goes on with another.
    pub(super) fn kept(&self, request: RequestId) -> impl Iterator<Item = JobPlace> + '_ {
        kept(self.terms(request))
    }

    /// The name of a try at a place of a request's chain.
    pub(super) fn name(&self, request: RequestId, job: JobPlace, try_no: TryNo) -> Try {
        (request, self.spec(request, job).id, try_no)
    }

    fn new_claim(&self, request: RequestId, index: u64) -> Option<Claim> {
        let known = self.requests.get(&request)?;
        Some(Claim { owner: known.owner?, epoch: known.epoch, index, ended: None })
    }
}

/// The jobs that terms let be complete from the start.
pub(super) fn kept(terms: &Terms) -> impl Iterator<Item = JobPlace> + '_ {
    terms.retry_of.iter().flat_map(|retry_of| retry_of.kept.iter().copied())
}
