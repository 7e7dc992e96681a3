//! How finished requests leave: the leader looks which have been kept for long enough, or are too many, and a command says what of them
//! there is to remove, since apply reads no rows.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{beyond::decisions, created, finished_jobs, finished_row, get, kept::end_key};
use crate::{
    event::Event,
    ids::{JobId, RequestId, TryNo},
    rejection::Rejection,
    rows::{self, LoadError, RowReader, RowSink, Table},
    state::State,
    time::Timestamp,
    workflow::{
        ArgTerm, FinishedTermsRow, Indexed, decision_key, finished_key, job_log_key, request::RequestState,
        retries_key,
    },
};

/// How many rows one command removes; what was decided about a try counts with its log. A request with more logs leaves in several: first its logs, the last with the rest.
pub const TRIMMED_ROWS_MAX: usize = 4_096;

/// The rows that a finished request may have and that are neither of its tries nor those of [`Indexed`].
const ROWS_OF_ITS_OWN: usize = 7;

/// Removes the oldest finished requests. Its natural key is what is gone before it: a repeat changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrimRequests {
    /// The number of the oldest that is kept.
    pub first: u64,
    /// How many of its logs are gone already.
    pub logs_gone: u64,
    /// The oldest, in the order of their numbers; nothing of them is left.
    pub whole: Vec<Trimmed>,
    /// The one behind them, when it has too many logs to leave at once.
    pub part: Option<TrimmedLogs>,
}

/// What there is of a request that leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trimmed {
    /// Its index rows.
    pub indexed: Indexed,
    /// The logs that are left of it, by job and then by try.
    pub logs: Vec<TrimmedLog>,
    /// Whether it had something beyond Spin Cycle.
    pub has_terms: bool,
    /// Whether its job data were kept, or how much they were.
    pub has_data: bool,
    /// The request it goes on with. The row by which it is found from there is its own: it leaves with it.
    pub retry_of: Option<RequestId>,
}

/// The log of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrimmedLog {
    /// The job.
    pub job: JobId,
    /// The try.
    pub try_no: TryNo,
    /// Whether somebody decided it, of which there is a row, too.
    pub decided: bool,
}

/// Some logs of a request that stays for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrimmedLogs {
    /// The request.
    pub request: RequestId,
    /// The first of its logs that are left, by job and then by try.
    pub logs: Vec<TrimmedLog>,
}

impl Trimmed {
    /// Removes all its rows, but that of its number.
    pub(super) fn remove(&self, sink: &mut RowSink) {
        let id = self.indexed.id;
        remove_logs(id, &self.logs, sink);
        self.indexed.remove(sink);
        let beyond = [(self.has_terms, Table::FinishedTerms), (self.has_data, Table::FinishedData)];
        let beyond = beyond.into_iter().filter_map(|(is_there, table)| is_there.then_some(table));
        let own = [Table::FinishedRequest, Table::FinishedChain, Table::FinishedJobs];
        own.into_iter().chain(beyond).for_each(|table| sink.remove_archived(&finished_key(table, id)));
        if let Some(retry_of) = self.retry_of {
            sink.remove_archived(&retries_key(retry_of).fixed(&id.0));
        }
    }

    fn rows(&self) -> usize {
        ROWS_OF_ITS_OWN + self.indexed.rows() + self.logs.len()
    }
}

impl TrimmedLogs {
    /// Removes the logs.
    pub(super) fn remove(&self, sink: &mut RowSink) {
        remove_logs(self.request, &self.logs, sink);
    }
}

/// Removes the logs of tries, and what was decided about those that were approvals.
fn remove_logs(request: RequestId, logs: &[TrimmedLog], sink: &mut RowSink) {
    for TrimmedLog { job, try_no, decided } in logs {
        sink.remove_archived(&job_log_key(request, *job).u32(try_no.0));
        if *decided {
            sink.remove_archived(&decision_key(request).fixed(&job.0).u32(try_no.0));
        }
    }
}

/// What the settings let go of by now, but no more than one command removes; `None` if there is nothing.
///
/// # Errors
/// A row is missing, or of no known version.
pub fn trim_requests(
    state: &State,
    rows: &dyn RowReader,
    at: Timestamp,
) -> Result<Option<TrimRequests>, LoadError> {
    trim_requests_beyond(state, rows, at, state.settings.archive_requests_max())
}

/// As [`trim_requests`], when no more than so many are to be kept.
///
/// # Errors
/// As those of [`trim_requests`].
pub fn trim_requests_beyond(
    state: &State,
    rows: &dyn RowReader,
    at: Timestamp,
    count_max: u64,
) -> Result<Option<TrimRequests>, LoadError> {
    let archive = state.archive;
    let (first, mut logs_gone) = (archive.first(), archive.logs_gone());
    let mut trim = TrimRequests { first, logs_gone, whole: vec![], part: None };
    let kept = count_max.saturating_sub(u64::from(mutant!("one-too-many-trimmed")));
    let too_many = archive.count().saturating_sub(kept);
    let mut room = TRIMMED_ROWS_MAX;
    for number in first..archive.next() {
        let oldest = Ended::read(rows, number)?;
        let is_old = at.since(oldest.ended_at) >= state.settings.archive_age_max();
        if !is_old && number - first >= too_many {
            break;
        }
        let mut trimmed = oldest.all(rows)?;
        trimmed.logs.drain(..usize::try_from(logs_gone).unwrap_or(usize::MAX).min(trimmed.logs.len()));
        if trimmed.rows() > room {
            // Requests are not cut for nothing: only one that is too large for a command of its own.
            if trimmed.rows() > TRIMMED_ROWS_MAX && room > 0 {
                trimmed.logs.truncate(room);
                trim.part = Some(TrimmedLogs { request: trimmed.indexed.id, logs: trimmed.logs });
            }
            break;
        }
        room -= trimmed.rows();
        trim.whole.push(trimmed);
        logs_gone = 0;
    }
    Ok((!trim.whole.is_empty() || trim.part.is_some()).then_some(trim))
}

/// A finished request, by its number.
struct Ended {
    id: RequestId,
    ended_at: Timestamp,
}

impl Ended {
    fn read(rows: &dyn RowReader, number: u64) -> Result<Self, LoadError> {
        let key = end_key(number);
        let missing = || LoadError::Contradiction { reason: format!("finished request {number} has no row") };
        let (_, id) = rows::decode_archive(&key, &rows.get(&key).ok_or_else(missing)?)?;
        let row = finished_row(rows, id)?.ok_or_else(|| super::missing(id, "row"))?;
        Ok(Self { id, ended_at: row.finished_at })
    }

    /// All there is of it. That there is a log of every try is a rule of the workflow, so none is read.
    fn all(&self, rows: &dyn RowReader) -> Result<Trimmed, LoadError> {
        let row = finished_row(rows, self.id)?.ok_or_else(|| super::missing(self.id, "row"))?;
        let (created, jobs) = (created(rows, self.id)?, finished_jobs(rows, self.id)?);
        let terms: Option<FinishedTermsRow> = get(rows, Table::FinishedTerms, self.id)?;
        let retry_of = terms.as_ref().and_then(|row| row.terms.retry_of.as_ref());
        let is_complete = row.state == RequestState::Complete;
        let decided: BTreeSet<(JobId, TryNo)> =
            decisions(rows, self.id)?.into_iter().map(|(job, try_no, _)| (job, try_no)).collect();
        let of_job = |job: JobId, tries: TryNo| (1..=tries.0).map(move |try_no| (job, TryNo(try_no)));
        let log = |(job, try_no)| TrimmedLog { job, try_no, decided: decided.contains(&(job, try_no)) };
        let specs = created.chain.jobs().iter();
        Ok(Trimmed {
            logs: specs.zip(&jobs).flat_map(|(spec, job)| of_job(spec.id, job.try_no)).map(log).collect(),
            has_terms: terms.is_some(),
            has_data: !is_complete && rows.get(&finished_key(Table::FinishedData, self.id)).is_some(),
            retry_of: retry_of.map(|retry_of| retry_of.request),
            indexed: Indexed {
                id: self.id,
                args: ArgTerm::all_of(&created.args),
                request_type: row.request_type,
                user: row.user,
                state: row.state,
                created_at: row.created_at,
                finished_at: row.finished_at,
            },
        })
    }
}

/// Decides on `TrimRequests`; what is gone already is left out.
pub(crate) fn trim(state: &State, trim: &TrimRequests) -> Result<Vec<Event>, Rejection> {
    if (trim.first, trim.logs_gone) != (state.archive.first(), state.archive.logs_gone()) {
        sometimes!("what is to be trimmed is gone already");
        return Ok(vec![]);
    }
    let count = trim.whole.len() as u64 + u64::from(trim.part.is_some());
    if count > state.archive.count() {
        let what = "finished requests that are kept".to_owned();
        return Err(Rejection::TooMany { what, count_max: state.archive.count() });
    }
    let rows = trim.whole.iter().map(Trimmed::rows).sum::<usize>()
        + trim.part.as_ref().map_or(0, |part| part.logs.len());
    if rows > TRIMMED_ROWS_MAX {
        let what = "rows that one command removes".to_owned();
        return Err(Rejection::TooMany { what, count_max: TRIMMED_ROWS_MAX as u64 });
    }
    let part = trim.part.iter().map(|part| &part.request);
    let mut ids = trim.whole.iter().map(|whole| &whole.indexed.id).chain(part);
    if let Some(live) = ids.find(|id| state.requests.get(id).is_some()) {
        return Err(Rejection::StillLive { request: *live });
    }
    Ok(vec![Event::RequestsTrimmed(Box::new(trim.clone()))])
}
