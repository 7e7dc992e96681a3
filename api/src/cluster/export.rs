//! `GET /cluster/v1/requests/export`: requests with their jobs, and their logs if wanted, as lines of JSON.
//!
//! The filters are those of the list of requests, and so is the order. All lines show the view that the first does; what is trimmed while
//! an export goes on is left out of what has not been sent.

use bytes::Bytes;
use capstan_client::cluster::ExportedRequest;
use capstan_model::{
    archive::{self as model, Filter, Page, Place},
    rows::LoadError,
};
use capstan_raft_store::handle::View;
use futures::FutureExt;
use http::HeaderValue;

use super::at_index;
use crate::{
    answer::{self, Answer, BrokenOff, Pieces},
    archive,
    call::Head,
    error::{ApiError, InputError},
    query, read,
    service::Inner,
    spin_cycle::{
        filters::{self, Wanted},
        shapes,
    },
    streams::Open,
};

/// Lines of JSON.
const LINES: HeaderValue = HeaderValue::from_static("application/x-ndjson");
/// How many bytes a piece has at least, unless it is the last; a request with its logs goes beyond by as much as it has.
const PIECE_BYTES: usize = 64 * 1024;
/// How many requests are listed at a time.
const LISTED: usize = 64;

/// Begins an export.
pub(crate) async fn export(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let Wanted { filter, page } = filters::read(head.query)?;
    let with_logs = with_logs(head.query)?;
    let open = api.streams.open(&api.parts.cluster, &api.parts.health, head)?;
    let view = read::view(&api.parts.cluster, head).await?;
    let index = view.index();
    let next = filter.is_some().then_some(page);
    let reader = Reader { open, view, filter: filter.unwrap_or_default(), with_logs };
    let pieces = Pieces::unfold((reader, next), |(reader, next)| reader.piece(next).boxed());
    Ok(at_index(answer::in_pieces(LINES, pieces), index))
}

fn with_logs(query: &str) -> Result<bool, InputError> {
    match query::first(query, "logs").as_deref() {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => {
            let shown: String = other.chars().take(100).collect();
            let reason = format!("parameter logs: {shown:?} is neither true nor false");
            Err(InputError::Query { reason })
        }
    }
}

/// Reads piece after piece.
struct Reader {
    open: Open,
    view: View,
    filter: Filter,
    with_logs: bool,
}

impl Reader {
    /// The lines of a part of the list; `None` is no part.
    async fn piece(self, mut part: Option<Page>) -> Result<Option<(Bytes, (Self, Option<Page>))>, BrokenOff> {
        let mut lines = Vec::new();
        while let Some(page) = part.filter(|_| lines.len() < PIECE_BYTES) {
            self.open.is_not_over()?;
            let (filter, with_logs) = (self.filter.clone(), self.with_logs);
            let read = move |view: &View| step(view, &filter, page, with_logs, lines);
            (lines, part) = archive::read(self.view.clone(), read).await?;
        }
        Ok((!lines.is_empty()).then(|| (lines.into(), (self, part))))
    }
}

/// Adds lines of what one step finds, until there are enough for a piece, and says which part is behind them.
fn step(
    view: &View,
    filter: &Filter,
    part: Page,
    with_logs: bool,
    mut lines: Vec<u8>,
) -> Result<(Vec<u8>, Option<Page>), LoadError> {
    let listed = Page { limit: Some(part.limit.map_or(LISTED, |limit| limit.min(LISTED))), ..part };
    let found = model::find(view.state(), view, filter, listed, model::FIND_ROWS_MAX)?;
    let mut rest = part;
    for summary in &found.requests {
        push(&mut lines, view, summary.place(), with_logs)?;
        let limit = rest.limit.map(|limit| limit - 1);
        rest = Page { after: Some(summary.place()), offset: 0, limit };
        if lines.len() >= PIECE_BYTES {
            return Ok((lines, Some(rest)));
        }
    }
    let is_full = listed.limit == Some(found.requests.len());
    let rest = match found.rest {
        Some(behind) => Some(Page { limit: rest.limit, ..behind }),
        None => Some(rest).filter(|rest| is_full && rest.limit != Some(0)),
    };
    Ok((lines, rest))
}

/// Adds the line of a request, unless it has been trimmed meanwhile.
fn push(lines: &mut Vec<u8>, view: &View, place: Place, with_logs: bool) -> Result<(), LoadError> {
    let Some(detail) = model::request(view.state(), view, place.id())? else { return Ok(()) };
    let logs = if with_logs { Some(model::job_logs(view, place.id())?) } else { None };
    let exported = ExportedRequest {
        cursor: place.to_string(),
        request: shapes::detail(&detail, &view.state().nodes),
        specs: detail.created.specs.map(|version| version.to_string()),
        log: logs.map(|logs| logs.iter().map(shapes::log).collect()),
    };
    serde_json::to_writer(&mut *lines, &exported).expect("wire types are plain data with text keys");
    lines.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_are_wanted_or_not() {
        let cases = [("", Some(false)), ("logs=true", Some(true)), ("logs=false", Some(false))];
        for (query, expected) in cases.into_iter().chain([("logs", None), ("logs=1", None)]) {
            assert_eq!(with_logs(query).ok(), expected, "{query}");
        }
    }
}
