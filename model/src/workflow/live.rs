//! All live requests, and how events change them, their rows and their indexes.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use imbl::OrdMap;

use super::{
    archive_rows,
    chain::JobPlace,
    control::Pause,
    event::{AfterTry, EndedTry, WorkflowEvent},
    indexes::{FIRST_JOB, FIRST_REQUEST, Indexes, JobKey},
    job::{Job, Phase, is_approval},
    live_rows::{
        chain_key, control_key, job_key, parallel_key, request_key, sequence_key, terms_key, touched,
        write_new,
    },
    request::{LiveRequest, Progress, RequestState},
    sequence,
};
use crate::{
    archive::Place,
    ids::{Epoch, Incarnation, JobId, RequestId},
    rows::RowSink,
    time::Timestamp,
};

/// All live requests, by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LiveRequests {
    pub(super) by_id: OrdMap<RequestId, Arc<LiveRequest>>,
    pub(super) indexes: Indexes,
    /// Rows of requests whose chains have not come yet; empty outside a load.
    pub(super) loading: BTreeMap<RequestId, Progress>,
}

impl LiveRequests {
    /// The live request of this id.
    pub fn get(&self, id: &RequestId) -> Option<&LiveRequest> {
        self.by_id.get(id).map(|live| &**live)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &LiveRequest> {
        self.by_id.values().map(|live| &**live)
    }

    /// Those a life owns, by id.
    pub fn owned_by(&self, owner: Incarnation) -> impl Iterator<Item = &LiveRequest> {
        let from = (owner, FIRST_REQUEST);
        self.indexes
            .by_owner
            .range(from..)
            .take_while(move |(of, _)| *of == owner)
            .filter_map(|(_, id)| self.get(id))
    }

    /// Those owned by an earlier life of the same node, by id.
    pub(super) fn owned_by_former(&self, life: Incarnation) -> impl Iterator<Item = &LiveRequest> {
        let first = Incarnation { node: life.node, boot: 0, nonce: 0 };
        self.indexes
            .by_owner
            .range((first, FIRST_REQUEST)..(life, FIRST_REQUEST))
            .filter_map(|(_, id)| self.get(id))
    }

    /// Those in a state, by id.
    pub fn in_state(&self, state: RequestState) -> impl Iterator<Item = &LiveRequest> {
        let from = (state, FIRST_REQUEST);
        self.indexes
            .by_state
            .range(from..)
            .take_while(move |(of, _)| *of == state)
            .filter_map(|(_, id)| self.get(id))
    }

    /// All of them, newest first, then by id.
    pub fn newest_first(&self) -> impl Iterator<Item = &LiveRequest> {
        self.indexes.by_creation.iter().filter_map(|(_, id)| self.get(id))
    }

    /// Those at or behind a place in the order of lists.
    pub(crate) fn newest_first_from(&self, first: Place) -> impl Iterator<Item = &LiveRequest> {
        let range = (Bound::Included(first.as_pair()), Bound::Unbounded);
        self.indexes.by_creation.range(range).filter_map(|(_, id)| self.get(id))
    }

    /// How many requests a life owns.
    pub fn owned_count(&self, owner: Incarnation) -> u32 {
        self.indexes.owned.get(&owner).copied().unwrap_or(0)
    }

    /// How many slots the running tries of a life take.
    pub fn slots_taken(&self, owner: Incarnation) -> u32 {
        self.indexes.slots_taken.get(&owner).copied().unwrap_or(0)
    }

    /// The first job that waits for a slot of this life.
    pub(super) fn first_ready(&self, owner: Incarnation) -> Option<(RequestId, JobId)> {
        let from = Bound::Included((owner, FIRST_REQUEST, FIRST_JOB));
        let (of, request, job) = *self.indexes.ready.range((from, Bound::Unbounded)).next()?;
        (of == owner).then_some((request, job))
    }

    /// Applies one event, and tells the sink which rows that changes.
    pub(crate) fn evolve(&mut self, event: &WorkflowEvent, sink: &mut RowSink) {
        self.evolve_into(event, Some(sink));
    }

    /// Applies one event to a copy that no rows are kept of.
    pub(super) fn rehearse(&mut self, event: &WorkflowEvent) {
        self.evolve_into(event, None);
    }

    fn evolve_into(&mut self, event: &WorkflowEvent, sink: Option<&mut RowSink>) {
        match event {
            WorkflowEvent::RequestCreated { request, terms, data, at } => {
                let mut live = LiveRequest::new(request.clone(), Progress::new(*at));
                live.terms = terms.clone();
                live.renew(data);
                self.insert(live, sink);
            }
            WorkflowEvent::RequestOwned { request, owner, at } => {
                self.change_request(*request, sink, |LiveRequest { terms, progress, control, .. }| {
                    if let Some(since) = progress.suspended_at.filter(|_| terms.timeout.is_some()) {
                        control.unowned += at.since(since);
                    }
                    progress.owner = Some(*owner);
                    let keeps_epoch = progress.started_at.is_some() && mutant!("epoch-kept");
                    progress.epoch = Epoch(progress.epoch.0 + u64::from(!keeps_epoch));
                    progress.started_at.get_or_insert(*at);
                    progress.suspended_at = None;
                });
            }
            WorkflowEvent::RequestSuspended { request, at } => {
                self.change_request(*request, sink, |LiveRequest { progress, .. }| {
                    progress.owner = None;
                    progress.suspended_at = Some(*at);
                });
            }
            WorkflowEvent::RequestStopped { request, at } => {
                self.change_request(*request, sink, |live| {
                    live.progress.stopped_at.get_or_insert(*at);
                });
            }
            WorkflowEvent::RequestTimedOut { request, at } => {
                self.change_request(*request, sink, |live| {
                    live.progress.stopped_at.get_or_insert(*at);
                    live.control.timed_out_at = Some(*at);
                });
            }
            WorkflowEvent::RequestPaused { request, by, at } => {
                self.change_request(*request, sink, |live| {
                    live.control.paused = Some(Pause { by: by.clone(), since: *at });
                });
            }
            WorkflowEvent::RequestResumed { request, .. } => {
                self.change_request(*request, sink, |live| live.control.paused = None);
            }
            WorkflowEvent::TryOverdue { request, job } => {
                self.change_job(*request, *job, sink, |job, kind| {
                    let Phase::Running { since } = job.phase else { panic!("only what runs is out of time") };
                    job.enter(Phase::Overdue { since }, kind);
                });
            }
            WorkflowEvent::ApprovalDecided { request, job, try_no, decision } => {
                self.note_decision(*request, *job, *try_no, decision, sink);
            }
            WorkflowEvent::JobReady { request, job } => {
                self.change_job(*request, *job, sink, |job, kind| job.enter(Phase::Ready, kind));
            }
            WorkflowEvent::TryStarted { request, job, try_no, at } => {
                self.change_job(*request, *job, sink, |job, kind| {
                    let since = *at;
                    let phase =
                        if is_approval(kind) { Phase::Awaiting { since } } else { Phase::Running { since } };
                    job.enter(phase, kind);
                    job.try_no = *try_no;
                });
            }
            WorkflowEvent::JobWithdrawn { request, job } => {
                self.change_job(*request, *job, sink, |job, kind| {
                    // A job that never ran in this try of its sequence is as if it had not been reached.
                    let fresh = job.phase == Phase::Ready && job.tries_failed == 0;
                    job.enter(if fresh { Phase::Pending } else { Phase::Stopped }, kind);
                });
            }
            WorkflowEvent::TryEnded(ended) => self.end_try(ended, sink),
            WorkflowEvent::ExpansionsAdmitted { request, parallel, admitted } => {
                self.change_parallel(*request, *parallel, sink, |progress| progress.admitted = *admitted);
            }
            WorkflowEvent::ParallelClosed { request, parallel } => {
                self.change_parallel(*request, *parallel, sink, |progress| progress.closed = true);
            }
            WorkflowEvent::SequenceFailed { request, sequence } => {
                self.fail_sequence(*request, *sequence, sink);
            }
            WorkflowEvent::SequenceReset { request, sequence, retry_at } => {
                self.reset_sequence(*request, *sequence, *retry_at, sink);
            }
            WorkflowEvent::RequestEnded { request, state, at } => self.archive(*request, *state, *at, sink),
        }
    }

    /// A request that an event is about.
    pub(super) fn live_mut(&mut self, request: RequestId) -> &mut LiveRequest {
        Arc::make_mut(self.by_id.get_mut(&request).expect("events are about live requests"))
    }

    fn insert(&mut self, mut live: LiveRequest, sink: Option<&mut RowSink>) {
        live.tally = tally(&live);
        if let Some(sink) = sink {
            write_new(&live, sink);
            archive_rows::write_created(&live, sink);
        }
        self.indexes.add_all(&live);
        let known = self.by_id.insert(live.id(), Arc::new(live));
        assert!(known.is_none(), "a request is created once");
    }

    /// Changes what a request has beside its jobs.
    pub(super) fn change_request(
        &mut self,
        request: RequestId,
        sink: Option<&mut RowSink>,
        change: impl FnOnce(&mut LiveRequest),
    ) {
        let live = Arc::make_mut(self.by_id.get_mut(&request).expect("events are about live requests"));
        let before = live.clone();
        change(live);
        let (from, to) = (before.state(), live.state());
        assert!(from == to || from.may_become(to), "request {request} went from {from:?} to {to:?}");
        if let Some(sink) = sink {
            sink.replace(&request_key(request), Some(&before.progress), Some(&live.progress));
            if !mutant!("pause-not-stored") {
                sink.replace(&control_key(request), before.control.row(), live.control.row());
            }
        }
        self.indexes.remove_request(&before);
        self.indexes.add_request(live);
        self.indexes.move_jobs(&before, live);
    }

    /// Changes one job; the closure is also told its type.
    pub(super) fn change_job(
        &mut self,
        request: RequestId,
        place: JobPlace,
        sink: Option<&mut RowSink>,
        change: impl FnOnce(&mut Job, &str),
    ) {
        let live = Arc::make_mut(self.by_id.get_mut(&request).expect("events are about live requests"));
        let spec = live.created.chain.job(place);
        let key = JobKey::new(live, place, spec);
        let job = live.jobs.get_mut(place.0 as usize).expect("a chain has a job at each of its places");
        let before = job.clone();
        change(job, &spec.job_type);
        live.tally.remove(&before);
        live.tally.add(job);
        if before.phase.runs() && !job.phase.runs() {
            sequence::note_end(&live.created.chain, &mut live.failing, place);
        }
        self.indexes.remove_job(key, &before);
        self.indexes.add_job(key, job);
        if let Some(sink) = sink {
            let untouched = Job::new(live.created.chain.parents(place));
            let row = |job| (job != &untouched).then_some(job);
            sink.replace(&job_key(request, spec.id), row(&before), row(job));
        }
    }

    fn end_try(&mut self, ended: &EndedTry, mut sink: Option<&mut RowSink>) {
        let EndedTry { request, job: place, try_no, report, then } = ended;
        let output_bytes = report.stdout.stored_bytes() + report.stderr.stored_bytes();
        self.change_job(*request, *place, sink.as_deref_mut(), |job, kind| {
            let next = match then {
                AfterTry::Complete => Phase::Complete,
                AfterTry::Failed => Phase::Failed,
                AfterTry::Stopped => Phase::Stopped,
                AfterTry::RetryAt(until) => Phase::RetryWait { until: *until },
                AfterTry::RetryNow | AfterTry::Resumed | AfterTry::RunAgain => Phase::Ready,
            };
            job.enter(next, kind);
            job.try_no = *try_no;
            job.tries_failed +=
                u32::from(matches!(then, AfterTry::Failed | AfterTry::RetryAt(_) | AfterTry::RetryNow));
            job.tries_lost += u32::from(*then == AfterTry::RunAgain);
            job.output_bytes += output_bytes as u64;
            if !report.job_data.is_empty() {
                job.merge_data(&Arc::new(report.job_data.clone()));
            }
        });
        let live = self.by_id.get(request).expect("events are about live requests").clone();
        if let Some(sink) = sink.as_deref_mut() {
            archive_rows::write_try(&live, *place, *try_no, report, sink);
        }
        if matches!(then, AfterTry::Complete) {
            let data = &live.job_at(*place).data;
            for successor in &live.chain().job(*place).successors {
                self.change_job(*request, *successor, sink.as_deref_mut(), |job, _| {
                    job.parents_left -= 1;
                    if !mutant!("parent-data-lost") {
                        job.merge_data(data);
                    }
                });
            }
            if let Some(parallel) = live.chain().parallels().ended_by(*place) {
                self.change_parallel(*request, parallel, sink, |progress| progress.complete += 1);
            }
        }
    }

    fn archive(
        &mut self,
        request: RequestId,
        state: RequestState,
        at: Timestamp,
        sink: Option<&mut RowSink>,
    ) {
        let live = self.by_id.remove(&request).expect("events are about live requests");
        let from = live.progress.state();
        assert!(
            state.is_end() && from.may_become(state),
            "request {request} ended from {from:?} as {state:?}"
        );
        assert_eq!(live.tally.active, 0, "request {request} ended with active jobs");
        self.indexes.remove_request(&live);
        let Some(sink) = sink else { return };
        sink.replace(&request_key(request), Some(&live.progress), None);
        sink.replace(&chain_key(request), Some(&*live.created), None);
        sink.replace(&terms_key(request), live.terms.row(), None);
        sink.replace(&control_key(request), live.control.row(), None);
        for (spec, job) in touched(&live).filter(|_| !mutant!("job-rows-left-behind")) {
            sink.replace(&job_key(request, spec.id), Some(job), None);
        }
        for (sequence, progress) in &live.sequences {
            sink.replace(&sequence_key(request, *sequence), Some(progress), None);
        }
        for (parallel, progress) in &live.parallels {
            sink.replace(&parallel_key(request, *parallel), Some(progress), None);
        }
        archive_rows::write_finished(&live, state, at, sink);
    }

    /// What the indexes must be.
    pub(super) fn rebuild_indexes(&self) -> Indexes {
        let mut indexes = Indexes::default();
        self.iter().for_each(|live| indexes.add_all(live));
        indexes
    }
}

/// What a request's tally must be.
pub(super) fn tally(live: &LiveRequest) -> super::request::Tally {
    let mut tally = super::request::Tally::default();
    live.jobs().for_each(|(_, job)| tally.add(job));
    tally
}
