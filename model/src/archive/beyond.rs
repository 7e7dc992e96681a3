//! What the archive holds of requests beyond Spin Cycle, and what another needs to go on with a finished one.

use std::sync::Arc;

use bytes::Bytes;

use super::{Scan, finished_request, get};
use crate::{
    ids::{JobId, RequestId, TryNo},
    rows::{self, KeyReader, LoadError, RowReader, Table},
    state::State,
    workflow::{
        FinishedDataRow, FinishedTermsRow,
        approval::Decision,
        control::Control,
        decision_key,
        rerun::{Finished, FinishedData},
        retries_key,
        terms::{JobData, Terms},
    },
};

/// What a request has beyond Spin Cycle, and what was done to it, live or finished.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Beyond {
    /// Its timeouts, its waits that grow, and what it goes on with.
    pub terms: Arc<Terms>,
    /// Whether it is paused, or was when it ended; whether it ran out of time.
    pub control: Control,
    /// What was decided about its approvals, by job and then by try.
    pub decisions: Vec<(JobId, TryNo, Decision)>,
    /// The requests that go on with it, by id, which begins with when it was drawn: the last hundred.
    pub retried_by: Vec<RequestId>,
}

/// How many of the requests that go on with one are told.
const RETRIED_BY_MAX: usize = 100;

/// What a request has beyond Spin Cycle; of an unknown one there is nothing.
///
/// # Errors
/// A row is of no known version.
pub fn beyond(state: &State, rows: &dyn RowReader, id: RequestId) -> Result<Beyond, LoadError> {
    let (terms, control) = match state.requests.get(&id) {
        Some(live) => (live.terms.clone(), live.control.clone()),
        None => {
            let row: FinishedTermsRow = get(rows, Table::FinishedTerms, id)?.unwrap_or_default();
            (row.terms, row.control)
        }
    };
    Ok(Beyond { terms, control, decisions: decisions(rows, id)?, retried_by: retried_by(rows, id)? })
}

/// The newest requests that go on with a finished one, by id.
fn retried_by(rows: &dyn RowReader, id: RequestId) -> Result<Vec<RequestId>, LoadError> {
    let prefix = retries_key(id);
    let retry = |(key, _): &(Bytes, Bytes)| {
        let mut parts = KeyReader::new(key);
        let _: [u8; 12] = parts.fixed()?;
        let retry = RequestId(parts.fixed()?);
        parts.end()?;
        Ok(retry)
    };
    rows.scan_back(&prefix, &prefix.clone().end(), RETRIED_BY_MAX).iter().rev().map(retry).collect()
}

/// What was decided about the approvals of a request, by job and then by try.
pub(super) fn decisions(
    rows: &dyn RowReader,
    id: RequestId,
) -> Result<Vec<(JobId, TryNo, Decision)>, LoadError> {
    let prefix = decision_key(id);
    let decision = |(key, value): (Bytes, Bytes)| {
        let mut parts = KeyReader::new(&key);
        let _: [u8; 12] = parts.fixed()?;
        let (job, try_no) = (JobId(parts.fixed()?), TryNo(parts.u32()?));
        parts.end()?;
        Ok((job, try_no, rows::decode_archive(&key, &value)?.1))
    };
    Scan::new(rows, &prefix, &prefix.clone().end()).map(decision).collect()
}

/// A finished request with all that another needs to go on with it.
///
/// # Errors
/// A row is of no known version.
pub fn finished_for_rerun(rows: &dyn RowReader, id: RequestId) -> Result<Option<Finished>, LoadError> {
    let Some(detail) = finished_request(rows, id)? else { return Ok(None) };
    let FinishedTermsRow { terms, .. } = get(rows, Table::FinishedTerms, id)?.unwrap_or_default();
    let data: Option<FinishedDataRow> = get(rows, Table::FinishedData, id)?;
    let data = data.map_or_else(|| FinishedData::Kept(JobData::default()), FinishedData::from);
    Ok(Some(Finished { detail, terms, data }))
}
