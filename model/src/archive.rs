//! Finished requests and the logs of tries, read from the archive's rows; and lists over live and finished
//! requests.
//!
//! A view's State and its rows are of one index, so a request is in exactly one of them.

mod beyond;

use std::{iter::Peekable, sync::Arc};

use bytes::Bytes;

use crate::{
    ids::{JobId, RequestId, TryNo},
    rows::{self, KeyReader, LoadError, RowReader, Table},
    state::State,
    time::Timestamp,
    workflow::{
        FinishedJob, FinishedRow, Index, JobLogRow,
        command::{CreateRequest, RequestArg},
        finished_key,
        job::JobState,
        job_log_key, newest_first,
        output::Output,
        request::RequestState,
        view::{RequestDetail, RequestSummary},
    },
};

pub use self::beyond::{Beyond, beyond, finished_for_rerun};

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

/// Which requests a list shows; all of it must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this type.
    pub request_type: Option<String>,
    /// Of this user; upper and lower case are the same.
    pub user: Option<String>,
    /// In one of these states; empty is any.
    pub states: Vec<RequestState>,
    /// With these args, given as strings of exactly these values.
    pub args: Vec<(String, String)>,
    /// Not finished, or finished after this.
    pub since: Option<Timestamp>,
    /// Created before this.
    pub until: Option<Timestamp>,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page {
    /// How many to pass over.
    pub offset: usize,
    /// How many at most; `None` is all.
    pub limit: Option<usize>,
}

/// A finished request.
///
/// # Errors
/// A row is of no known version.
pub fn finished_request(rows: &dyn RowReader, id: RequestId) -> Result<Option<RequestDetail>, LoadError> {
    let Some(row) = get::<FinishedRow>(rows, Table::FinishedRequest, id)? else { return Ok(None) };
    let missing = |what| LoadError::Contradiction { reason: format!("finished request {id} has no {what}") };
    let created: CreateRequest = get(rows, Table::FinishedChain, id)?.ok_or_else(|| missing("chain"))?;
    let jobs: Vec<FinishedJob> = get(rows, Table::FinishedJobs, id)?.ok_or_else(|| missing("jobs"))?;
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

/// Live and finished requests, newest first, then by id.
///
/// # Errors
/// A row is of no known version.
pub fn requests(
    state: &State,
    rows: &dyn RowReader,
    filter: &Filter,
    page: Page,
) -> Result<Vec<RequestSummary>, LoadError> {
    let live = state.requests.newest_first().filter(|live| filter.takes_args(&live.created.args));
    let live = live.map(|live| Ok(live.summary())).filter(|live| filter.takes_or_fails(live));
    let finished = finished_requests(rows, filter).filter(|finished| filter.takes_or_fails(finished));
    let limit = page.limit.unwrap_or(usize::MAX);
    Merge { live: live.peekable(), finished: finished.peekable() }.skip(page.offset).take(limit).collect()
}

type Listed = Result<RequestSummary, LoadError>;

impl Filter {
    fn takes_or_fails(&self, listed: &Listed) -> bool {
        listed.as_ref().map_or(true, |summary| self.takes(summary))
    }

    fn takes(&self, summary: &RequestSummary) -> bool {
        self.request_type.as_deref().is_none_or(|wanted| wanted == &*summary.request_type)
            && self.user.as_deref().is_none_or(|wanted| wanted.to_lowercase() == summary.user.to_lowercase())
            && (self.states.is_empty() || self.states.contains(&summary.state))
            && self.since.is_none_or(|since| summary.finished_at.is_none_or(|finished| finished > since))
            && self.until.is_none_or(|until| summary.created_at < until)
    }

    fn takes_args(&self, args: &[RequestArg]) -> bool {
        self.args.iter().all(|(name, value)| {
            args.iter()
                .any(|arg| arg.given && *arg.name == **name && arg.value.to_text().as_ref() == Some(value))
        })
    }

    /// The index with the fewest rows that has all the list shows.
    fn index(&self) -> Index<'_> {
        match (&self.user, &self.request_type, &self.states[..]) {
            (Some(user), ..) => Index::User(user),
            (None, Some(request_type), _) => Index::Type(request_type),
            (None, None, [state]) => Index::State(*state),
            (None, None, _) => Index::Creation,
        }
    }
}

/// The finished requests a filter's index has, newest first, with args as the filter wants them.
fn finished_requests<'a>(rows: &'a dyn RowReader, filter: &'a Filter) -> impl Iterator<Item = Listed> + 'a {
    let prefix = filter.index().prefix();
    let from = match filter.until {
        // Keys hold times upside down: what was created before `until` comes after it.
        Some(until) => newest_first(prefix.clone(), Timestamp(until.0.saturating_sub(1))),
        None => prefix.clone(),
    };
    Scan::new(rows, &from, &prefix.end())
        .filter_map(|(key, _)| finished_of_index(rows, filter, &key).transpose())
}

fn finished_of_index(
    rows: &dyn RowReader,
    filter: &Filter,
    index_key: &[u8],
) -> Result<Option<RequestSummary>, LoadError> {
    let id =
        index_key.last_chunk().map(|id| RequestId(*id)).ok_or_else(|| LoadError::unknown_key(index_key))?;
    if !filter.args.is_empty() {
        let created: Option<CreateRequest> = get(rows, Table::FinishedChain, id)?;
        if !created.is_some_and(|created| filter.takes_args(&created.args)) {
            return Ok(None);
        }
    }
    let row = get::<FinishedRow>(rows, Table::FinishedRequest, id)?;
    Ok(row.map(|row| summary(id, row)))
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

/// Two lists, each newest first and then by id, as one.
struct Merge<L: Iterator<Item = Listed>, F: Iterator<Item = Listed>> {
    live: Peekable<L>,
    finished: Peekable<F>,
}

impl<L: Iterator<Item = Listed>, F: Iterator<Item = Listed>> Iterator for Merge<L, F> {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        let comes_first = |live: &RequestSummary, finished: &RequestSummary| {
            (std::cmp::Reverse(live.created_at), live.id)
                < (std::cmp::Reverse(finished.created_at), finished.id)
        };
        match (self.live.peek(), self.finished.peek()) {
            (Some(Ok(live)), Some(Ok(finished))) if comes_first(live, finished) => self.live.next(),
            (Some(_), None) => self.live.next(),
            _ => self.finished.next(),
        }
    }
}
