//! Lists over live and finished requests.

use std::iter::Peekable;

use super::{created_head, filter::Filter, finished_row, place::Place, sorted::Sorted, summary};
use crate::{
    rows::{LoadError, RowReader},
    state::State,
    workflow::{request::LiveRequest, view::RequestSummary},
};

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page {
    /// Only what is behind this place.
    pub after: Option<Place>,
    /// How many to pass over.
    pub offset: usize,
    /// How many at most; `None` is all.
    pub limit: Option<usize>,
}

/// Live and finished requests, newest first, then by id. Of finished ones index rows are read, and the rows of those that are returned.
///
/// # Errors
/// A row is of no known version.
pub fn requests(
    state: &State,
    rows: &dyn RowReader,
    filter: &Filter,
    page: Page,
) -> Result<Vec<RequestSummary>, LoadError> {
    let first = match page.after {
        Some(after) if mutant!("list-cursor-inclusive") => Some(after),
        Some(after) => after.next().zip(filter.first()).map(|(next, first)| next.max(first)),
        None => filter.first(),
    };
    let Some(first) = first else { return Ok(Vec::new()) };
    let live = state.requests.newest_first_from(first).filter(|live| filter.takes_live(live));
    let finished = Finished { rows, filter, list: filter.finished(rows), from: Some(first) };
    let mut merged = Merge { live: live.peekable(), finished: finished.peekable() };
    let (mut found, mut passed) = (Vec::new(), 0);
    // What is behind the limit is not looked for.
    while page.limit.is_none_or(|limit| found.len() < limit) {
        let Some(listed) = merged.next().transpose()? else { break };
        if passed < page.offset {
            passed += 1;
            continue;
        }
        match listed {
            Listed::Live(live) => found.push(live.summary()),
            Listed::Finished(place) => {
                // One that has been trimmed meanwhile is left out.
                let row = finished_row(rows, place.id())?;
                found.extend(row.map(|row| summary(place.id(), row)));
            }
        }
    }
    Ok(found)
}

/// A request of a list, not read yet.
enum Listed<'a> {
    Live(&'a LiveRequest),
    Finished(Place),
}

/// The places of the finished requests that a filter shows.
struct Finished<'a> {
    rows: &'a dyn RowReader,
    filter: &'a Filter,
    /// `None` when it shows none.
    list: Option<Sorted<'a>>,
    /// Where it goes on; `None` behind the last.
    from: Option<Place>,
}

impl Finished<'_> {
    fn read_next(&mut self) -> Result<Option<Place>, LoadError> {
        let Some(list) = &mut self.list else { return Ok(None) };
        while let Some(from) = self.from {
            let Some(named) = list.seek(from)? else { break };
            self.from = named.place.next();
            let is_shown = named.is_sure
                || created_head(self.rows, named.place.id())?
                    .is_some_and(|created| self.filter.takes_args(&created.args));
            if is_shown {
                return Ok(Some(named.place));
            }
        }
        self.from = None;
        Ok(None)
    }
}

impl Iterator for Finished<'_> {
    type Item = Result<Place, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}

/// Live and finished requests as one list.
struct Merge<'a, L: Iterator<Item = &'a LiveRequest>, F: Iterator<Item = Result<Place, LoadError>>> {
    live: Peekable<L>,
    finished: Peekable<F>,
}

impl<'a, L, F> Iterator for Merge<'a, L, F>
where
    L: Iterator<Item = &'a LiveRequest>,
    F: Iterator<Item = Result<Place, LoadError>>,
{
    type Item = Result<Listed<'a>, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_live_first = match (self.live.peek(), self.finished.peek()) {
            (Some(live), Some(Ok(finished))) => live.place() < *finished,
            (Some(_), None) => true,
            _ => false,
        };
        if is_live_first {
            return self.live.next().map(|live| Ok(Listed::Live(live)));
        }
        Some(self.finished.next()?.map(Listed::Finished))
    }
}
