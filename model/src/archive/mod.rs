//! Finished requests and the logs of tries, read from the archive's rows; lists over live and finished requests; and how finished
//! ones leave.
//!
//! A view's State and its rows are of one index, so a request is in exactly one of them.
//!
//! `find` makes lists, of index rows read by `index_list` and put together by `sorted` as a [`Filter`] says. [`Archive`] is what State knows of
//! the archive; `trim` is how it gets no larger than the settings say.

mod beyond;
mod filter;
mod find;
mod index_list;
mod kept;
mod metered;
mod place;
mod sorted;
mod trim;

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    ids::{JobId, RequestId, TryNo},
    rows::{self, KeyReader, LoadError, RowReader, Table},
    state::State,
    time::Timestamp,
    workflow::{
        CreatedHead, FinishedJob, FinishedRow, JobLogRow,
        command::CreateRequest,
        finished_key,
        job::JobState,
        job_log_key,
        output::Output,
        view::{RequestDetail, RequestSummary},
    },
};

pub(crate) use self::trim::trim;
pub use self::{
    beyond::{Beyond, beyond, finished_for_rerun},
    filter::Filter,
    find::{FIND_ROWS_MAX, Found, Page, find, requests},
    kept::Archive,
    place::{InvalidPlace, Place},
    trim::{
        TRIMMED_ROWS_MAX, TrimRequests, Trimmed, TrimmedLog, TrimmedLogs, trim_requests, trim_requests_beyond,
    },
};

/// How many rows are read at a time.
const PAGE_ROWS: usize = 256;

/// The log of one try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLog {
    /// The request.
    pub request: RequestId,
    /// The job.
    pub job: JobId,
    /// The try.
    pub try_no: TryNo,
    /// The job's name.
    pub name: Arc<str>,
    /// The job's type.
    pub job_type: Arc<str>,
    /// The first job of its sequence.
    pub sequence: JobId,
    /// Which try of that sequence it belonged to.
    pub sequence_try: TryNo,
    /// How the try ended.
    pub state: JobState,
    /// The job's exit status.
    pub exit: i64,
    /// What went wrong; empty if nothing did.
    pub error: Arc<str>,
    /// The end of its standard output.
    pub stdout: Output,
    /// The end of its standard error.
    pub stderr: Output,
    /// When it started, by its owner's wall clock.
    pub started_at: Timestamp,
    /// When it ended, by its owner's wall clock.
    pub finished_at: Timestamp,
}

/// A finished request.
///
/// # Errors
/// A row is of no known version.
pub fn finished_request(rows: &dyn RowReader, id: RequestId) -> Result<Option<RequestDetail>, LoadError> {
    let Some(row) = finished_row(rows, id)? else { return Ok(None) };
    let (created, jobs) = (created(rows, id)?, finished_jobs(rows, id)?);
    Ok(Some(RequestDetail { summary: summary(id, row), created: Arc::new(created), jobs }))
}

/// A request, live or finished.
///
/// # Errors
/// A row is of no known version.
pub fn request(
    state: &State,
    rows: &dyn RowReader,
    id: RequestId,
) -> Result<Option<RequestDetail>, LoadError> {
    match state.requests.get(&id) {
        Some(live) => Ok(Some(live.detail())),
        None => finished_request(rows, id),
    }
}

/// The logs of a request's tries, live or finished, by job and then by try.
///
/// # Errors
/// A row is of no known version.
pub fn job_logs(rows: &dyn RowReader, request: RequestId) -> Result<Vec<JobLog>, LoadError> {
    let prefix = finished_key(Table::JobLog, request);
    Scan::new(rows, &prefix, &prefix.clone().end()).map(|(key, value)| job_log(&key, &value)).collect()
}

/// The log of a job's newest try.
///
/// # Errors
/// A row is of no known version.
pub fn newest_job_log(
    rows: &dyn RowReader,
    request: RequestId,
    job: JobId,
) -> Result<Option<JobLog>, LoadError> {
    let prefix = job_log_key(request, job);
    let newest = rows.scan_back(&prefix, &prefix.clone().end(), 1);
    newest.first().map(|(key, value)| job_log(key, value)).transpose()
}

/// A finished request's own row.
fn finished_row(rows: &dyn RowReader, id: RequestId) -> Result<Option<FinishedRow>, LoadError> {
    get(rows, Table::FinishedRequest, id)
}

/// A finished request as it was created.
fn created(rows: &dyn RowReader, id: RequestId) -> Result<CreateRequest, LoadError> {
    get(rows, Table::FinishedChain, id)?.ok_or_else(|| missing(id, "chain"))
}

/// As [`created`], without decoding the chain.
fn created_head(rows: &dyn RowReader, id: RequestId) -> Result<Option<CreatedHead>, LoadError> {
    let key = finished_key(Table::FinishedChain, id);
    rows.get(&key).map(|value| rows::decode_archive_head(&key, &value)).transpose()
}

/// What became of the jobs of a finished request.
fn finished_jobs(rows: &dyn RowReader, id: RequestId) -> Result<Vec<FinishedJob>, LoadError> {
    get(rows, Table::FinishedJobs, id)?.ok_or_else(|| missing(id, "jobs"))
}

fn missing(id: RequestId, what: &str) -> LoadError {
    LoadError::Contradiction { reason: format!("finished request {id} has no {what}") }
}

fn summary(id: RequestId, row: FinishedRow) -> RequestSummary {
    RequestSummary {
        id,
        request_type: row.request_type,
        user: row.user,
        state: row.state,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: Some(row.finished_at),
        total_jobs: row.total_jobs,
        finished_jobs: row.finished_jobs,
        owner: None,
    }
}

fn job_log(key: &[u8], value: &[u8]) -> Result<JobLog, LoadError> {
    let mut parts = KeyReader::new(key);
    let (request, job, try_no) = (RequestId(parts.fixed()?), JobId(parts.fixed()?), TryNo(parts.u32()?));
    parts.end()?;
    let (_, row): (u64, JobLogRow) = rows::decode_archive(key, value)?;
    Ok(JobLog {
        request,
        job,
        try_no,
        name: row.name,
        job_type: row.job_type,
        sequence: row.sequence,
        sequence_try: row.sequence_try,
        state: row.state,
        exit: row.exit,
        error: row.error,
        stdout: row.stdout,
        stderr: row.stderr,
        started_at: row.started_at,
        finished_at: row.finished_at,
    })
}

fn get<V: serde::de::DeserializeOwned>(
    rows: &dyn RowReader,
    table: Table,
    id: RequestId,
) -> Result<Option<V>, LoadError> {
    let key = finished_key(table, id);
    rows.get(&key).map(|value| rows::decode_archive(&key, &value).map(|(_, row)| row)).transpose()
}

/// All rows of a range, read a page at a time.
struct Scan<'a> {
    rows: &'a dyn RowReader,
    /// Where the next page starts; `None` after the last.
    from: Option<Vec<u8>>,
    to: Vec<u8>,
    page: std::vec::IntoIter<(Bytes, Bytes)>,
}

impl<'a> Scan<'a> {
    fn new(rows: &'a dyn RowReader, from: &[u8], to: &[u8]) -> Self {
        Self { rows, from: Some(from.to_vec()), to: to.to_vec(), page: Vec::new().into_iter() }
    }
}

impl Iterator for Scan<'_> {
    type Item = (Bytes, Bytes);

    fn next(&mut self) -> Option<(Bytes, Bytes)> {
        if self.page.len() == 0 {
            let page = self.rows.scan(&self.from.take()?, &self.to, PAGE_ROWS);
            if page.len() == PAGE_ROWS {
                // The smallest key above the page's last.
                self.from = page.last().map(|(key, _)| [key, &[0][..]].concat());
            }
            self.page = page.into_iter();
        }
        self.page.next()
    }
}
