//! What is left of a request and its tries on disk, and under which keys. [`crate::archive`] reads it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    archive_indexes::{ArgTerm, Indexed},
    chain::JobPlace,
    command::{RequestArg, TryEnd, TryReport},
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

/// The first fields of a [`super::command::CreateRequest`]: who wants no more need not decode its chain.
#[derive(Debug, Deserialize)]
pub(crate) struct CreatedHead {
    _id: RequestId,
    _request_type: Arc<str>,
    _user: Arc<str>,
    pub(crate) args: Vec<RequestArg>,
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
    // The first job of a sequence runs once in each try of it; one that was kept has done so before.
    let begin = chain.sequence(spec.sequence).begin;
    let sequence_try = live.job_at(begin).try_no.0 + u32::from(live.terms.keeps(begin));
    let row = JobLogRow {
        name: spec.name.clone(),
        job_type: spec.job_type.clone(),
        sequence: chain.job(begin).id,
        sequence_try: TryNo(sequence_try),
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
        /// How much at least, in bytes of names and values.
        bytes: u64,
    },
}

/// Writes what is found of a new request by the one it goes on with.
pub(super) fn write_created(live: &LiveRequest, sink: &mut RowSink) {
    if let Some(retry_of) = &live.terms.retry_of
        && !mutant!("retried-by-missed")
    {
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
    let row = match JobData::within(DATA_BYTES_MAX, jobs) {
        Ok(data) if data == JobData::default() => return,
        Ok(data) => FinishedDataRow::Kept(data),
        Err(bytes) => FinishedDataRow::TooLarge { bytes: bytes as u64 },
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
    let indexed = Indexed {
        id: created.id,
        args: ArgTerm::all_of(&created.args),
        request_type: row.request_type,
        user: row.user,
        state,
        created_at: row.created_at,
        finished_at: at,
    };
    indexed.write(sink);
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
