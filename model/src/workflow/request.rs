//! A live request: its immutable part, its own mutable row, and its jobs.

use std::{sync::Arc, time::Duration};

use imbl::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

use super::{
    chain::{JobPlace, JobSpec, SequencePlace, ValidChain},
    command::CreateRequest,
    control::Control,
    job::{Job, Phase},
    parallel::{ParallelPlace, ParallelProgress},
    sequence::SequenceProgress,
    terms::Terms,
};
use crate::{
    archive::Place,
    ids::{Epoch, Incarnation, JobId, RequestId},
    time::Timestamp,
};

/// The state of a request, as callers see it; numbers and names are Spin Cycle's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RequestState {
    /// Created, and no node has owned it yet.
    Pending,
    /// Owned by a node.
    Running,
    /// Ended with every job complete.
    Complete,
    /// Ended with a job that is not.
    Failed,
    /// Ended by a stop, and nothing failed.
    Stopped,
    /// Was owned, and waits for a node that can go on.
    Suspended,
}

impl RequestState {
    /// Every state, in the order of the numbers.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Complete, Self::Failed, Self::Stopped, Self::Suspended];

    /// Spin Cycle's number.
    pub fn number(self) -> u8 {
        match self {
            Self::Pending => 1,
            Self::Running => 2,
            Self::Complete => 3,
            Self::Failed => 4,
            Self::Stopped => 6,
            Self::Suspended => 7,
        }
    }

    /// Spin Cycle's name, which is also what the API filters by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAIL",
            Self::Stopped => "STOPPED",
            Self::Suspended => "SUSPENDED",
        }
    }

    /// The state of this name, in upper case as it is written.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether the request has left State for the archive.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Complete | Self::Failed | Self::Stopped)
    }

    /// The one place that says which state may follow which.
    pub(super) fn may_become(self, next: Self) -> bool {
        use RequestState::{Complete, Failed, Pending, Running, Stopped, Suspended};
        match (self, next) {
            (Pending | Suspended, Running | Stopped | Failed) => true,
            (Running, Complete | Failed | Stopped | Suspended | Running) => true,
            (Pending, Pending | Complete | Suspended)
            | (Running, Pending)
            | (Suspended, Pending | Complete | Suspended)
            | (Complete | Failed | Stopped, _) => false,
        }
    }
}

/// The mutable part of a request itself: one row, which no job's progress touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The stamp of the entry that stored it.
    pub created_at: Timestamp,
    /// When a node first owned it.
    pub started_at: Option<Timestamp>,
    /// The life that runs it now.
    pub owner: Option<Incarnation>,
    /// Counts its owners; zero before the first.
    pub epoch: Epoch,
    /// When a user stopped it, or it ran out of time; from then on nothing of it starts.
    pub stopped_at: Option<Timestamp>,
    /// Since when it waits for a node that can go on.
    pub suspended_at: Option<Timestamp>,
}

impl Progress {
    pub(super) fn new(created_at: Timestamp) -> Self {
        let (started_at, owner, stopped_at, suspended_at) = (None, None, None, None);
        Self { created_at, started_at, owner, epoch: Epoch(0), stopped_at, suspended_at }
    }

    /// Whether it has been suspended for longer than it may be.
    pub(super) fn is_overdue(&self, wait_max: Duration, now: Timestamp) -> bool {
        self.suspended_at.is_some_and(|since| since.after(wait_max) <= now)
    }

    /// Its state while it is live.
    pub fn state(&self) -> RequestState {
        match (self.owner, self.started_at) {
            (Some(_), _) => RequestState::Running,
            (None, None) => RequestState::Pending,
            (None, Some(_)) => RequestState::Suspended,
        }
    }
}

/// How many of a request's jobs are where; follows from the jobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Succeeded.
    pub complete: u32,
    /// Failed for good.
    pub failed: u32,
    /// Ready, running, waiting for a decision, or between two tries.
    pub active: u32,
    /// Running.
    pub running: u32,
    /// Stored bytes of output.
    pub output_bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, job: &Job) {
        self.complete += u32::from(job.phase == Phase::Complete);
        self.failed += u32::from(job.phase == Phase::Failed);
        self.active += u32::from(job.phase.is_active());
        self.running += u32::from(job.phase.runs());
        self.output_bytes += job.output_bytes;
    }

    pub(super) fn remove(&mut self, job: &Job) {
        self.complete -= u32::from(job.phase == Phase::Complete);
        self.failed -= u32::from(job.phase == Phase::Failed);
        self.active -= u32::from(job.phase.is_active());
        self.running -= u32::from(job.phase.runs());
        self.output_bytes -= job.output_bytes;
    }
}

/// A request that has not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveRequest {
    /// What was created: type, user, args, chain.
    pub created: Arc<CreateRequest>,
    /// What it has beyond Spin Cycle.
    pub terms: Arc<Terms>,
    /// Its own mutable part.
    pub progress: Progress,
    /// What users and time have done to it.
    pub control: Control,
    /// Its jobs, by their places in the chain.
    pub(super) jobs: Vector<Job>,
    /// Sequences that have failed before, or are failing.
    pub(super) sequences: OrdMap<SequencePlace, SequenceProgress>,
    /// Expansions of which some are admitted.
    pub(super) parallels: OrdMap<ParallelPlace, ParallelProgress>,
    /// Sequences that are failing, and how many jobs in each still run; follows from sequences and jobs.
    pub(super) failing: OrdMap<SequencePlace, u32>,
    pub(super) tally: Tally,
}

impl LiveRequest {
    pub(super) fn new(created: Arc<CreateRequest>, progress: Progress) -> Self {
        let jobs = created.chain.places().map(|place| Job::new(created.chain.parents(place))).collect();
        Self {
            created,
            terms: Arc::default(),
            progress,
            control: Control::default(),
            jobs,
            sequences: OrdMap::new(),
            parallels: OrdMap::new(),
            failing: OrdMap::new(),
            tally: Tally::default(),
        }
    }

    /// Its id.
    pub fn id(&self) -> RequestId {
        self.created.id
    }

    /// Its place in the order of lists.
    pub fn place(&self) -> Place {
        Place::of(self.progress.created_at, self.id())
    }

    /// Its jobs and their order.
    pub fn chain(&self) -> &ValidChain {
        &self.created.chain
    }

    /// Where it stands.
    pub fn state(&self) -> RequestState {
        self.progress.state()
    }

    /// How many of its jobs are where.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// How many jobs it has.
    pub fn total_jobs(&self) -> u32 {
        u32::try_from(self.jobs.len()).expect("a chain is bounded")
    }

    /// The job at a place of its chain.
    pub fn job_at(&self, place: JobPlace) -> &Job {
        self.jobs.get(place.0 as usize).expect("a chain has a job at each of its places")
    }

    /// The job of this id.
    pub fn job(&self, job: JobId) -> Option<(&JobSpec, &Job)> {
        let place = self.chain().place(job)?;
        Some((self.chain().job(place), self.job_at(place)))
    }

    /// All jobs, in the order of their ids.
    pub fn jobs(&self) -> impl Iterator<Item = (&JobSpec, &Job)> {
        self.chain().jobs().iter().zip(&self.jobs)
    }

    /// What of it may start as soon as its owner lets it: jobs whose parents are complete.
    pub(super) fn frontier(&self) -> impl Iterator<Item = JobPlace> {
        self.chain().places().filter(|place| self.job_at(*place).is_startable() && self.may_launch(*place))
    }

    /// Whether neither a parent, nor a failing sequence around it, nor its place among expansions keeps a job from
    /// starting.
    pub(super) fn may_launch(&self, job: JobPlace) -> bool {
        let is_withheld = self.is_failing(job) && !mutant!("failing-sequence-starts");
        self.job_at(job).is_reached() && !is_withheld && self.is_admitted(job)
    }

    /// Whether nothing is left to do of it: nothing is active, and nothing waits for a pause to end or for an owner.
    pub(super) fn is_over(&self) -> bool {
        let may_go_on = self.progress.stopped_at.is_none()
            && (self.control.paused.is_some() && !mutant!("pause-ends-request")
                || self.progress.owner.is_none());
        self.tally.active == 0 && !(may_go_on && self.frontier().next().is_some())
    }

    /// How it ends, once none of its jobs is active (`reference/spin-cycle.md` 4.5).
    pub(super) fn end_state(&self) -> RequestState {
        let in_time = self.control.timed_out_at.is_none() || mutant!("timed-out-counts-as-stopped");
        let stopped = self.progress.stopped_at.is_some() && in_time;
        if self.tally.complete == self.total_jobs() {
            RequestState::Complete
        } else if stopped && (self.tally.failed == 0 || mutant!("stop-hides-failure")) {
            RequestState::Stopped
        } else {
            RequestState::Failed
        }
    }
}
