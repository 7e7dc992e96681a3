//! What actors and the API read of live requests.

use std::sync::Arc;

use super::{
    LiveRequests,
    archive_rows::FinishedJob,
    chain::JobSpec,
    command::{CreateRequest, TryId},
    indexes::{FIRST_JOB, FIRST_REQUEST},
    job::{Job, Phase},
    output, ownership,
    request::{LiveRequest, RequestState},
};
use crate::{
    archive::Place,
    ids::{Incarnation, JobId, RequestId, TryNo},
    state::State,
    time::Timestamp,
};

/// A request as lists show it, live or finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestSummary {
    /// Its id.
    pub id: RequestId,
    /// The name of its spec.
    pub request_type: Arc<str>,
    /// Who asked for it; empty without auth.
    pub user: Arc<str>,
    /// Where it stands.
    pub state: RequestState,
    /// When it was stored, in log time.
    pub created_at: Timestamp,
    /// When a node first owned it, in log time.
    pub started_at: Option<Timestamp>,
    /// When it ended, in log time.
    pub finished_at: Option<Timestamp>,
    /// How many jobs it has.
    pub total_jobs: u32,
    /// How many of them are complete.
    pub finished_jobs: u32,
    /// Who runs it.
    pub owner: Option<Incarnation>,
}

/// A request with its args and jobs, live or finished.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestDetail {
    /// What lists show.
    pub summary: RequestSummary,
    /// Type, user, args and chain, as created.
    pub created: Arc<CreateRequest>,
    /// What became of each job, in the order of the chain.
    pub jobs: Vec<FinishedJob>,
}

/// A try that State says a life is to run.
#[derive(Debug, Clone, Copy)]
pub struct RunningTry<'a> {
    /// Names it; a report repeats this.
    pub id: TryId,
    /// What to run.
    pub spec: &'a JobSpec,
    /// The job's row: its data, and since when it runs.
    pub job: &'a Job,
    /// Whether it is to be stopped: for its request, because its owner hands over what it has, or because it is out of time.
    pub stop_requested: bool,
    /// How many bytes of each of its streams may be kept.
    pub stream_bytes_max: usize,
}

/// A job between two tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryWait {
    /// When the next try may start, in log time.
    pub until: Timestamp,
    /// The try that failed; what starts the next names it.
    pub id: TryId,
}

impl RequestSummary {
    /// Its place in the order of lists: behind it the next page begins.
    pub fn place(&self) -> Place {
        Place::of(self.created_at, self.id)
    }
}

impl LiveRequest {
    /// What lists show.
    pub fn summary(&self) -> RequestSummary {
        RequestSummary {
            id: self.id(),
            request_type: self.created.request_type.clone(),
            user: self.created.user.clone(),
            state: self.state(),
            created_at: self.progress.created_at,
            started_at: self.progress.started_at,
            finished_at: None,
            total_jobs: self.total_jobs(),
            finished_jobs: self.tally().complete,
            owner: self.progress.owner,
        }
    }

    /// All of it.
    pub fn detail(&self) -> RequestDetail {
        RequestDetail {
            summary: self.summary(),
            created: self.created.clone(),
            jobs: self
                .jobs()
                .map(|(_, job)| FinishedJob { state: job.state(), try_no: job.try_no })
                .collect(),
        }
    }

    /// Names a job's newest try under the current owner.
    fn try_id(&self, owner: Incarnation, job: JobId) -> TryId {
        let (_, current) = self.job(job).expect("indexes name jobs of their request's chain");
        let (request, epoch) = (self.id(), self.progress.epoch);
        TryId { request, job, try_no: current.try_no, epoch, incarnation: owner }
    }
}

/// A job that waits for somebody to decide.
#[derive(Debug, Clone, Copy)]
pub struct Awaiting<'a> {
    /// What is to be decided about.
    pub spec: &'a JobSpec,
    /// Its try.
    pub try_no: TryNo,
    /// Since when it waits, in log time.
    pub since: Timestamp,
    /// When it fails if nobody decides; `None` is never.
    pub deadline: Option<Timestamp>,
}

impl LiveRequest {
    /// The jobs that wait for somebody to decide, in the order of their ids.
    pub fn awaiting(&self) -> impl Iterator<Item = Awaiting<'_>> {
        self.chain().places().zip(self.jobs()).filter_map(|(place, (spec, job))| {
            let Phase::Awaiting { since } = job.phase else { return None };
            Some(Awaiting { spec, try_no: job.try_no, since, deadline: self.try_deadline(place) })
        })
    }
}

impl State {
    /// The tries a life is to run, in the order of request and job.
    pub fn running_under(&self, owner: Incarnation) -> impl Iterator<Item = RunningTry<'_>> {
        self.running_from(owner, FIRST_REQUEST)
    }

    /// The tries a life is to run of one request, in the order of their jobs.
    pub fn running_of(&self, owner: Incarnation, request: RequestId) -> impl Iterator<Item = RunningTry<'_>> {
        self.running_from(owner, request).take_while(move |running| running.id.request == request)
    }

    fn running_from(&self, owner: Incarnation, first: RequestId) -> impl Iterator<Item = RunningTry<'_>> {
        let rests = !ownership::may_start(&self.nodes, owner);
        let requests = &self.requests;
        let running = requests.indexes.running.range((owner, first, FIRST_JOB)..);
        running.take_while(move |(of, ..)| *of == owner).map(move |(_, request, job)| {
            let live = requests.indexed(request);
            let (spec, row) = live.job(*job).expect("indexes name jobs of their request's chain");
            RunningTry {
                id: live.try_id(owner, *job),
                spec,
                job: row,
                stop_requested: rests
                    || live.progress.stopped_at.is_some()
                    || matches!(row.phase, Phase::Overdue { .. }) && !mutant!("overdue-not-passed-on"),
                stream_bytes_max: output::stream_bytes_max(live.tally().output_bytes),
            }
        })
    }
}

impl LiveRequests {
    /// The jobs of a life's requests that wait between two tries, the earliest first.
    pub fn retries_under(&self, owner: Incarnation) -> impl Iterator<Item = RetryWait> {
        self.indexes
            .retries
            .range((owner, Timestamp::ZERO, FIRST_REQUEST, FIRST_JOB)..)
            .take_while(move |(of, ..)| *of == owner)
            .map(move |(_, until, request, job)| RetryWait {
                until: *until,
                id: self.indexed(request).try_id(owner, *job),
            })
    }

    /// The jobs of a life's requests that wait for a slot, in the order in which they get one.
    pub fn waiting_under(&self, owner: Incarnation) -> impl Iterator<Item = (&LiveRequest, &JobSpec)> {
        self.indexes
            .ready
            .range((owner, FIRST_REQUEST, FIRST_JOB)..)
            .take_while(move |(of, ..)| *of == owner)
            .filter_map(|(_, request, job)| {
                let live = self.indexed(request);
                live.job(*job).map(|(spec, _)| (live, spec))
            })
    }

    fn indexed(&self, request: &RequestId) -> &LiveRequest {
        self.get(request).expect("indexes name live requests")
    }
}

impl Job {
    /// The try that callers are shown: between two tries, the next one's number.
    pub fn shown_try(&self) -> u32 {
        let next = matches!(self.phase, Phase::RetryWait { .. } | Phase::Ready);
        self.try_no.0 + u32::from(next)
    }
}
