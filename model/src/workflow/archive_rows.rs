//! What is left of a request and its tries on disk, and under which keys. [`crate::archive`] reads it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    chain::JobPlace,
    command::{TryEnd, TryReport},
    control::Control,
    job::JobState,
    output::Output,
    request::{LiveRequest, RequestState},
    terms::{JobData, Terms},
};
use crate::{
    ids::{JobId, RequestId, TryNo},
    rows::{Key, RowSink, Table},
    time::Timestamp,
};

/// A finished request, without its args and chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FinishedRow {
    pub(crate) request_type: Arc<str>,
    pub(crate) user: Arc<str>,
    pub(crate) state: RequestState,
    pub(crate) created_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Timestamp,
    pub(crate) total_jobs: u32,
    pub(crate) finished_jobs: u32,
}

/// What became of one job of a finished request; its place in the row is its place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedJob {
    /// Its last state.
    pub state: JobState,
    /// Its last try; zero if it never ran.
    pub try_no: TryNo,
}

/// The log of one try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobLogRow {
    pub(crate) name: Arc<str>,
    pub(crate) job_type: Arc<str>,
    /// The first job of its sequence.
    pub(crate) sequence: JobId,
    /// The try of that sequence; one, unless the sequence was reset.
    pub(crate) sequence_try: TryNo,
    pub(crate) state: JobState,
    pub(crate) exit: i64,
    pub(crate) error: Arc<str>,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Timestamp,
}

/// Writes the log of a try that ended.
pub(super) fn write_try(
    live: &LiveRequest,
    job: JobPlace,
    try_no: TryNo,
    report: &TryReport,
    sink: &mut RowSink,
) {
    if report.end == TryEnd::Stopped && mutant!("stopped-try-not-logged") {
        return;
    }
    let chain = live.chain();
    let spec = chain.job(job);
    // The first job of a sequence runs once in each try of it.
    let begin = chain.sequence(spec.sequence).begin;
    let row = JobLogRow {
        name: spec.name.clone(),
        job_type: spec.job_type.clone(),
        sequence: chain.job(begin).id,
        sequence_try: live.job_at(begin).try_no,
        state: report.end.state(),
        exit: report.exit,
        error: report.error.clone(),
        stdout: report.stdout.clone(),
        stderr: report.stderr.clone(),
        started_at: report.started_at,
        finished_at: report.finished_at,
    };
    sink.archive(&job_log_key(live.id(), spec.id).u32(try_no.0), &row);
}

/// The most bytes of job data that are kept of a finished request, so that another fits a command.
const DATA_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What a finished request had beyond Spin Cycle; absent if it had nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FinishedTermsRow {
    pub(crate) terms: Arc<Terms>,
    pub(crate) control: Control,
}

/// The job data of a finished request that is not complete; absent if there was none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FinishedDataRow {
    /// All of it.
    Kept(JobData),
    /// It was more than is kept.
    TooLarge {
        /// How much, in bytes of names and values.
        bytes: u64,
    },
}

/// Writes what is found of a new request by the one it goes on with.
pub(super) fn write_created(live: &LiveRequest, sink: &mut RowSink) {
    if let Some(retry_of) = &live.terms.retry_of {
        sink.archive(&retries_key(retry_of.request).fixed(&live.id().0), &());
    }
}

/// Writes what another request needs to go on with this one, and what this one had beyond Spin Cycle.
fn write_rest(live: &LiveRequest, state: RequestState, sink: &mut RowSink) {
    if live.terms.row().is_some() || live.control.row().is_some() {
        let row = FinishedTermsRow { terms: live.terms.clone(), control: live.control.clone() };
        sink.archive(&finished_key(Table::FinishedTerms, live.id()), &row);
    }
    if state == RequestState::Complete {
        return;
    }
    let jobs = live.chain().places().zip(live.jobs()).map(|(place, (_, job))| (place, job.data.clone()));
    let data = JobData::new(jobs);
    let row = match data.bytes() {
        0 => return,
        bytes if bytes > DATA_BYTES_MAX => FinishedDataRow::TooLarge { bytes: bytes as u64 },
        _ => FinishedDataRow::Kept(data),
    };
    sink.archive(&finished_key(Table::FinishedData, live.id()), &row);
}

/// Writes what is left of a request that ended, and its index rows.
pub(super) fn write_finished(live: &LiveRequest, state: RequestState, at: Timestamp, sink: &mut RowSink) {
    let (created, progress) = (&live.created, &live.progress);
    let row = FinishedRow {
        request_type: created.request_type.clone(),
        user: created.user.clone(),
        state,
        created_at: progress.created_at,
        started_at: progress.started_at,
        finished_at: at,
        total_jobs: live.total_jobs(),
        finished_jobs: live.tally().complete,
    };
    let jobs: Vec<FinishedJob> =
        live.jobs().map(|(_, job)| FinishedJob { state: job.state(), try_no: job.try_no }).collect();
    sink.archive(&finished_key(Table::FinishedRequest, created.id), &row);
    sink.archive(&finished_key(Table::FinishedChain, created.id), &**created);
    sink.archive(&finished_key(Table::FinishedJobs, created.id), &jobs);
    write_rest(live, state, sink);
    let indexes =
        [Index::Creation, Index::Type(&row.request_type), Index::User(&row.user), Index::State(row.state)];
    for index in indexes {
        if matches!(index, Index::State(_)) && mutant!("archive-index-missed") {
            continue;
        }
        sink.archive(&newest_first(index.prefix(), row.created_at).fixed(&created.id.0), &());
    }
}

/// An order in which finished requests are listed: newest first among those that share something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Index<'a> {
    /// All of them.
    Creation,
    /// Those of a type.
    Type(&'a str),
    /// Those of a user; upper and lower case are the same.
    User(&'a str),
    /// Those that ended alike.
    State(RequestState),
}

impl Index<'_> {
    /// The start of its keys.
    pub(crate) fn prefix(self) -> Key {
        match self {
            Self::Creation => Key::new(Table::ByCreation),
            Self::Type(request_type) => Key::new(Table::ByType).text(request_type),
            Self::User(user) => Key::new(Table::ByUser).text(&user.to_lowercase()),
            Self::State(state) => Key::new(Table::ByState).u8(state.number()),
        }
    }
}

/// Appends a time to an index key so that later times come first.
pub(crate) fn newest_first(prefix: Key, at: Timestamp) -> Key {
    prefix.u64(!at.0)
}

/// The key of a finished request in one of its three tables.
pub(crate) fn finished_key(table: Table, request: RequestId) -> Key {
    Key::new(table).fixed(&request.0)
}

/// The start of the keys of what was decided about a request's approvals; job and try follow.
pub(crate) fn decision_key(request: RequestId) -> Key {
    Key::new(Table::Decision).fixed(&request.0)
}

/// The start of the keys of the requests that go on with a finished one; the request follows.
pub(crate) fn retries_key(request: RequestId) -> Key {
    Key::new(Table::ByRetryOf).fixed(&request.0)
}

/// The start of the keys of a job's logs; the try follows.
pub(crate) fn job_log_key(request: RequestId, job: JobId) -> Key {
    Key::new(Table::JobLog).fixed(&request.0).fixed(&job.0)
}
