//! What readers and plans look up, kept beside the facts it follows from.
//!
//! Everything here can be rebuilt from requests and jobs; no row holds it.

use std::{cmp::Reverse, ops::Bound, sync::Arc, time::Duration};

use imbl::{OrdMap, OrdSet};

use super::{
    chain::{JobPlace, JobSpec, JobTypes},
    job::{Job, Phase, takes_slot},
    request::{LiveRequest, RequestState},
    terms::try_deadline,
};
use crate::{
    ids::{Incarnation, JobId, RequestId},
    time::Timestamp,
};

/// Not above any request's id, for ranges.
pub(super) const FIRST_REQUEST: RequestId = RequestId([0; 12]);
/// Not below any request's id, for ranges.
const LAST_REQUEST: RequestId = RequestId([0xff; 12]);
/// Not above any job's id, for ranges.
pub(super) const FIRST_JOB: JobId = JobId([0; 4]);

/// The lookups over live requests and their jobs.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Indexes {
    /// Newest first, then by id: the order of lists.
    pub(super) by_creation: OrdSet<(Reverse<Timestamp>, RequestId)>,
    pub(super) by_state: OrdSet<(RequestState, RequestId)>,
    pub(super) by_owner: OrdSet<(Incarnation, RequestId)>,
    /// Requests that wait for an owner, by the job types it must offer.
    pub(super) unowned: OrdSet<(JobTypes, RequestId)>,
    /// Running tries.
    pub(super) running: OrdSet<OwnedJob>,
    /// Runnable jobs that wait for a slot, in the order in which they get one; not those of paused requests.
    pub(super) ready: OrdSet<OwnedJob>,
    /// Jobs between two tries, by owner and the time at which their wait is over; not those of paused requests.
    pub(super) retries: OrdSet<(Incarnation, Timestamp, RequestId, JobId)>,
    /// Requests, and tries of their jobs, by the time at which they are out of time; not what is being stopped.
    pub(super) deadlines: OrdSet<(Timestamp, RequestId, Option<JobId>)>,
    /// How many requests an owner has; absent when none.
    pub(super) owned: OrdMap<Incarnation, u32>,
    /// How many slots an owner's running tries take; absent when none.
    pub(super) slots_taken: OrdMap<Incarnation, u32>,
}

/// A job under the life that owns its request.
pub(super) type OwnedJob = (Incarnation, RequestId, JobId);

/// A job whose change the indexes are told of.
#[derive(Debug, Clone, Copy)]
pub(super) struct JobKey<'a> {
    pub(super) owner: Option<Incarnation>,
    pub(super) request: RequestId,
    pub(super) job: JobId,
    pub(super) job_type: &'a str,
    /// Whether the request is paused, so that the job is nobody's to start.
    paused: bool,
    /// How long a try of it may run.
    countdown: Option<Duration>,
}

impl Indexes {
    pub(super) fn add_request(&mut self, live: &LiveRequest) {
        let (created, progress, id) = (&live.created, &live.progress, live.id());
        self.deadlines.extend(live.deadline().map(|deadline| (deadline, id, None)));
        self.by_creation.insert((Reverse(progress.created_at), id));
        self.by_state.insert((progress.state(), id));
        if let Some(owner) = progress.owner {
            self.by_owner.insert((owner, id));
            *self.owned.entry(owner).or_insert(0) += 1;
        } else {
            self.unowned.insert((created.chain.shared_job_types().clone(), id));
        }
    }

    pub(super) fn remove_request(&mut self, live: &LiveRequest) {
        let (created, progress, id) = (&live.created, &live.progress, live.id());
        if let Some(deadline) = live.deadline() {
            self.deadlines.remove(&(deadline, id, None));
        }
        self.by_creation.remove(&(Reverse(progress.created_at), id));
        self.by_state.remove(&(progress.state(), id));
        if let Some(owner) = progress.owner {
            self.by_owner.remove(&(owner, id));
            let owned = self.owned.get_mut(&owner).expect("an owner's requests were counted");
            *owned -= 1;
            if *owned == 0 {
                self.owned.remove(&owner);
            }
        } else {
            self.unowned.remove(&(created.chain.shared_job_types().clone(), id));
        }
    }

    /// The requests that wait for an owner of job types that a node could be found for. The types of many are asked
    /// about once.
    pub(super) fn unowned_with<'a>(
        &'a self,
        is_offered: impl Fn(&[Arc<str>]) -> bool + 'a,
    ) -> impl Iterator<Item = RequestId> + 'a {
        let group_after = |types: &JobTypes| {
            let behind = (Bound::Excluded((types.clone(), LAST_REQUEST)), Bound::Unbounded);
            self.unowned.range(behind).next().map(|(types, _)| types)
        };
        let first = self.unowned.get_min().map(|(types, _)| types);
        std::iter::successors(first, move |types| group_after(types))
            .filter(move |types| is_offered(types))
            .flat_map(|types| {
                let group = self.unowned.range((types.clone(), FIRST_REQUEST)..);
                group.take_while(move |(of, _)| of == types).map(|(_, id)| *id)
            })
    }

    pub(super) fn add_job(&mut self, key: JobKey<'_>, job: &Job) {
        let deadline = try_deadline(job.phase, key.countdown);
        self.deadlines.extend(deadline.map(|deadline| (deadline, key.request, Some(key.job))));
        let Some(owner) = key.owner else { return };
        match job.phase {
            Phase::Running { .. } | Phase::Overdue { .. } => {
                self.running.insert((owner, key.request, key.job));
                if takes_slot(key.job_type) {
                    *self.slots_taken.entry(owner).or_insert(0) += 1;
                }
            }
            Phase::Ready | Phase::RetryWait { .. } if key.paused => {}
            Phase::Ready => {
                self.ready.insert((owner, key.request, key.job));
            }
            Phase::RetryWait { until } => {
                self.retries.insert((owner, until, key.request, key.job));
            }
            Phase::Pending | Phase::Awaiting { .. } | Phase::Complete | Phase::Failed | Phase::Stopped => {}
        }
    }

    pub(super) fn remove_job(&mut self, key: JobKey<'_>, job: &Job) {
        if let Some(deadline) = try_deadline(job.phase, key.countdown) {
            self.deadlines.remove(&(deadline, key.request, Some(key.job)));
        }
        let Some(owner) = key.owner else { return };
        match job.phase {
            Phase::Running { .. } | Phase::Overdue { .. } => {
                self.running.remove(&(owner, key.request, key.job));
                if takes_slot(key.job_type) {
                    self.free_slot(owner);
                }
            }
            Phase::Ready | Phase::RetryWait { .. } if key.paused => {}
            Phase::Ready => {
                self.ready.remove(&(owner, key.request, key.job));
            }
            Phase::RetryWait { until } => {
                self.retries.remove(&(owner, until, key.request, key.job));
            }
            Phase::Pending | Phase::Awaiting { .. } | Phase::Complete | Phase::Failed | Phase::Stopped => {}
        }
    }

    fn free_slot(&mut self, owner: Incarnation) {
        let taken = self.slots_taken.get_mut(&owner).expect("a running try took a slot");
        *taken -= 1;
        if *taken == 0 {
            self.slots_taken.remove(&owner);
        }
    }

    /// Adds a request with all its jobs.
    pub(super) fn add_all(&mut self, live: &LiveRequest) {
        self.add_request(live);
        for (place, (spec, job)) in live.chain().places().zip(live.jobs()) {
            self.add_job(JobKey::new(live, place, spec), job);
        }
    }

    /// Takes note that what the jobs of a request are found by has changed with the request.
    pub(super) fn move_jobs(&mut self, before: &LiveRequest, live: &LiveRequest) {
        if before.found_by() == live.found_by() {
            return;
        }
        for (place, (spec, job)) in live.chain().places().zip(live.jobs()) {
            if job.phase.is_active() {
                self.remove_job(JobKey::new(before, place, spec), job);
                self.add_job(JobKey::new(live, place, spec), job);
            }
        }
    }
}

impl LiveRequest {
    /// What of a request its jobs are found by: its owner, and whether it is paused or being stopped.
    fn found_by(&self) -> (Option<Incarnation>, bool, bool) {
        (self.progress.owner, self.control.paused.is_some(), self.progress.stopped_at.is_some())
    }
}

impl<'a> JobKey<'a> {
    pub(super) fn new(live: &LiveRequest, place: JobPlace, spec: &'a JobSpec) -> Self {
        Self {
            owner: live.progress.owner,
            request: live.id(),
            job: spec.id,
            job_type: &spec.job_type,
            paused: live.control.paused.is_some() && !mutant!("paused-waits-in-line"),
            countdown: live.countdown(place),
        }
    }
}
