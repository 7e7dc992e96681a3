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
    ownership,
    request::LiveRequest,
    retry::{self, Cause},
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

/// How a try ended, and who says so.
pub(super) struct EndOfTry {
    pub(super) report: TryReport,
    pub(super) cause: Cause,
}

impl EndOfTry {
    /// What the owner reports.
    pub(super) fn reported(report: TryReport) -> Self {
        Self { report, cause: Cause::Reported }
    }
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
        let frontier: Vec<JobPlace> = self.request(request).frontier().collect();
        frontier.into_iter().for_each(|job| self.make_runnable(request, job));
        self.settle(request);
    }

    /// Ends a try, and notes what that makes runnable; `settle` works it off.
    pub(super) fn end_try(&mut self, request: RequestId, job: JobPlace, try_no: TryNo, ended: EndOfTry) {
        let EndOfTry { mut report, cause } = ended;
        let live = self.request(request);
        retry::bound_data(live, job, &mut report);
        let then = retry::after_try(live, job, &mut report, cause, self.at);
        self.record(WorkflowEvent::TryEnded(Box::new(EndedTry { request, job, try_no, report, then })));
        match then {
            AfterTry::Complete => {
                self.note_successors(request, job);
                self.admit_expansions(request, job);
            }
            AfterTry::Failed if cause == Cause::Rejected => self.close_parallels(request, job),
            AfterTry::Failed => self.fail_sequence(request, job),
            AfterTry::RetryNow | AfterTry::Resumed | AfterTry::RunAgain => self.make_runnable(request, job),
            AfterTry::Stopped | AfterTry::RetryAt(_) => {}
        }
        self.reset_failed_sequence(request, job);
    }

    /// Notes the jobs that only waited for this one. Expansions are noted when they are admitted.
    fn note_successors(&mut self, request: RequestId, job: JobPlace) {
        let live = self.request(request);
        let is_runnable = |next: &JobPlace| {
            live.job_at(*next).is_startable() && live.chain().parallels().started_by(*next).is_none()
        };
        let successors = &live.chain().job(job).successors;
        let runnable: Vec<JobPlace> = successors.iter().copied().filter(is_runnable).collect();
        runnable.into_iter().for_each(|next| self.make_runnable(request, next));
    }

    /// Works off what became runnable, hands out free slots, and ends the request if nothing of it is left to do, or
    /// hands it over if its owner is to run no more.
    pub(super) fn settle(&mut self, request: RequestId) {
        while let Some((request, job)) = self.runnable.pop_front() {
            self.launch(request, job);
        }
        if let Some(owner) = self.request(request).progress.owner
            && !mutant!("slot-not-handed-out")
        {
            self.hand_out_slots(owner);
        }
        let live = self.request(request);
        let stopped = live.progress.stopped_at.is_some();
        let owner = live.progress.owner;
        if stopped || owner.is_some_and(|owner| ownership::may_start(self.nodes, owner)) {
            if live.is_over() {
                self.end(request);
            }
        } else if owner.is_some() && live.tally().running == 0 {
            self.hand_over(request);
        } else if owner.is_none() && live.is_over() {
            self.end(request); // Its last approval was rejected, or nobody decided in time.
        }
    }

    /// Takes back what of a request waits to start: it will not.
    pub(super) fn withdraw_all(&mut self, request: RequestId) {
        let live = self.request(request);
        let (places, why): (Vec<JobPlace>, _) = (live.chain().places().collect(), live.stop_reason());
        self.end_approvals(request, &places, &why);
        let live = self.request(request);
        let is_withdrawn = |job: &JobPlace| match live.job_at(*job).phase {
            Phase::Ready => true,
            Phase::RetryWait { .. } => !mutant!("stop-forgets-retries"),
            // Its sequence was about to be tried again, so this failure does not count.
            Phase::Failed => live.is_failing(*job),
            Phase::Pending
            | Phase::Running { .. }
            | Phase::Overdue { .. }
            | Phase::Awaiting { .. }
            | Phase::Complete
            | Phase::Stopped => false,
        };
        let withdrawn: Vec<JobPlace> = live.chain().places().filter(is_withdrawn).collect();
        for job in withdrawn {
            self.record(WorkflowEvent::JobWithdrawn { request, job });
        }
    }

    /// Ends a request of which nothing is left to do.
    pub(super) fn end(&mut self, request: RequestId) {
        let state = self.request(request).end_state();
        self.record(WorkflowEvent::RequestEnded { request, state, at: self.at });
    }

    /// Notes that a job may start if its owner lets it; `settle` works it off.
    pub(super) fn make_runnable(&mut self, request: RequestId, job: JobPlace) {
        self.runnable.push_back((request, job));
    }

    /// Starts a job, runs it on the spot if it is a `noop`, or lets it wait for a slot.
    fn launch(&mut self, request: RequestId, job: JobPlace) {
        let live = self.request(request);
        let owner = live.progress.owner.filter(|owner| ownership::may_start(self.nodes, *owner));
        let is_stopped = live.progress.stopped_at.is_some() && !mutant!("stop-checked-at-enqueue");
        let is_paused = live.control.paused.is_some() && !mutant!("pause-checked-nowhere");
        let Some(owner) = owner.filter(|_| !is_stopped && !is_paused && live.may_launch(job)) else {
            return; // A stopped request starts nothing; one that is paused or has no owner, not yet.
        };
        let (spec, current) = self.job(request, job);
        let needs_slot = takes_slot(&spec.job_type);
        match current.phase {
            Phase::Pending | Phase::RetryWait { .. } if is_noop(&spec.job_type) => {
                let try_no = TryNo(current.try_no.0 + 1);
                // It runs in no time.
                let report = TryReport::unwritten(TryEnd::Complete, Arc::default(), self.at, self.at);
                self.end_try(request, job, try_no, EndOfTry::reported(report));
            }
            Phase::Pending | Phase::RetryWait { .. } if needs_slot && !self.has_slot(owner) => {
                self.record(WorkflowEvent::JobReady { request, job });
            }
            Phase::Ready if needs_slot => {} // It waits in line.
            Phase::Pending | Phase::Ready | Phase::RetryWait { .. } => self.start(request, job),
            Phase::Running { .. }
            | Phase::Overdue { .. }
            | Phase::Awaiting { .. }
            | Phase::Complete
            | Phase::Failed
            | Phase::Stopped => {}
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
