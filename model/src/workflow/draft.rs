//! A handler's workbench: events are tried out on a copy as they are decided on, so that each decision sees
//! the ones before it.
//!
//! The copy shares everything with State and costs a few reference counts. What follows from a command is
//! worked off as a list: a long run of `noop`s is no recursion.

use std::{collections::VecDeque, sync::Arc};

use super::{
    LiveRequests,
    chain::{JobPlace, JobSpec},
    command::{TryEnd, TryReport},
    event::{AfterTry, EndedTry, WorkflowEvent},
    job::{Job, Phase, is_noop, takes_slot},
    output::Output,
    ownership,
    request::LiveRequest,
    retry,
};
use crate::{
    ids::{Incarnation, RequestId, TryNo},
    nodes::Nodes,
    state::State,
    time::Timestamp,
};

/// Decisions in the making.
pub(super) struct Draft<'a> {
    pub(super) nodes: &'a Nodes,
    pub(super) live: LiveRequests,
    pub(super) at: Timestamp,
    events: Vec<WorkflowEvent>,
    /// Jobs whose parents are complete, in the order in which that came about.
    runnable: VecDeque<(RequestId, JobPlace)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(state: &'a State, at: Timestamp) -> Self {
        let live = state.requests.clone();
        Self { nodes: &state.nodes, live, at, events: Vec::new(), runnable: VecDeque::new() }
    }

    /// Decides on an event.
    pub(super) fn record(&mut self, event: WorkflowEvent) {
        self.live.rehearse(&event);
        self.events.push(event);
    }

    /// What was decided.
    pub(super) fn into_events(self) -> Vec<WorkflowEvent> {
        self.events
    }

    /// A request that is live in this draft.
    pub(super) fn request(&self, id: RequestId) -> &LiveRequest {
        self.live.get(&id).expect("the draft is about a live request")
    }

    /// A job of a request that is live in this draft.
    pub(super) fn job(&self, request: RequestId, place: JobPlace) -> (&JobSpec, &Job) {
        let live = self.request(request);
        (live.chain().job(place), live.job_at(place))
    }

    /// Gives the request an owner, and works off what that makes runnable.
    pub(super) fn own(&mut self, request: RequestId, owner: Incarnation) {
        self.record(WorkflowEvent::RequestOwned { request, owner, at: self.at });
        let live = self.request(request);
        let frontier: Vec<JobPlace> =
            live.chain().places().filter(|place| live.job_at(*place).is_startable()).collect();
        self.runnable.extend(frontier.into_iter().map(|place| (request, place)));
        self.settle(request);
    }

    /// Ends a try, and notes what that makes runnable; `settle` works it off.
    pub(super) fn end_try(
        &mut self,
        request: RequestId,
        job: JobPlace,
        try_no: TryNo,
        mut report: TryReport,
    ) {
        let live = self.request(request);
        retry::bound_data(live, job, &mut report);
        let then = retry::after_try(live, job, &mut report, self.at);
        self.record(WorkflowEvent::TryEnded(Box::new(EndedTry { request, job, try_no, report, then })));
        if then == AfterTry::RetryNow {
            self.runnable.push_back((request, job));
        } else if then == AfterTry::Complete {
            let live = self.request(request);
            let successors = &live.chain().job(job).successors;
            let runnable: Vec<JobPlace> =
                successors.iter().copied().filter(|place| live.job_at(*place).is_startable()).collect();
            self.runnable.extend(runnable.into_iter().map(|place| (request, place)));
        }
    }

    /// Works off what became runnable, hands out free slots, and ends the request if nothing of it is left to do.
    pub(super) fn settle(&mut self, request: RequestId) {
        while let Some((request, job)) = self.runnable.pop_front() {
            self.launch(request, job);
        }
        if let Some(owner) = self.request(request).progress.owner {
            self.hand_out_slots(owner);
        }
        let live = self.request(request);
        let is_due = live.progress.owner.is_some() || live.progress.stopped_at.is_some();
        if is_due && live.tally().active == 0 {
            let state = live.end_state();
            self.record(WorkflowEvent::RequestEnded { request, state, at: self.at });
        }
    }

    /// Notes that a job's retry wait is over; `settle` works it off.
    pub(super) fn retry(&mut self, request: RequestId, job: JobPlace) {
        self.runnable.push_back((request, job));
    }

    /// Starts a job, runs it on the spot if it is a `noop`, or lets it wait for a slot.
    fn launch(&mut self, request: RequestId, job: JobPlace) {
        let live = self.request(request);
        let Some(owner) = live.progress.owner.filter(|_| live.progress.stopped_at.is_none()) else {
            return; // A stopped request starts nothing; one without an owner, not yet.
        };
        let (spec, current) = self.job(request, job);
        let needs_slot = takes_slot(&spec.job_type);
        match current.phase {
            Phase::Pending if is_noop(&spec.job_type) => {
                let try_no = TryNo(current.try_no.0 + 1);
                self.end_try(request, job, try_no, noop_report(self.at));
            }
            Phase::Pending | Phase::RetryWait { .. } if needs_slot && !self.has_slot(owner) => {
                self.record(WorkflowEvent::JobReady { request, job });
            }
            Phase::Ready if needs_slot => {} // It waits in line.
            Phase::Pending | Phase::Ready | Phase::RetryWait { .. } => self.start(request, job),
            Phase::Running { .. } | Phase::Complete | Phase::Failed | Phase::Stopped => {}
        }
    }

    /// Whether an owner has a free slot that no waiting job comes first for.
    fn has_slot(&self, owner: Incarnation) -> bool {
        self.live.first_ready(owner).is_none() && ownership::free_slots(self.nodes, &self.live, owner) > 0
    }

    /// Hands the next try of a job to the owner.
    fn start(&mut self, request: RequestId, job: JobPlace) {
        let try_no = TryNo(self.job(request, job).1.try_no.0 + 1);
        self.record(WorkflowEvent::TryStarted { request, job, try_no, at: self.at });
    }

    /// Gives an owner's free slots to the jobs that wait for one, in order.
    fn hand_out_slots(&mut self, owner: Incarnation) {
        while ownership::free_slots(self.nodes, &self.live, owner) > 0
            && let Some((request, job)) = self.live.first_ready(owner)
        {
            let place = self.request(request).chain().place(job).expect("a ready job is in its chain");
            self.start(request, place);
        }
    }
}

/// What the log says of a `noop`, which runs in no time inside apply.
fn noop_report(at: Timestamp) -> TryReport {
    TryReport {
        end: TryEnd::Complete,
        exit: 0,
        error: Arc::default(),
        stdout: Output::default(),
        stderr: Output::default(),
        started_at: at,
        finished_at: at,
        job_data: Default::default(),
    }
}
