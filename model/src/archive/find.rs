//! Lists over live and finished requests.

use std::iter::Peekable;

use super::{
    created_head,
    filter::{Filter, Indexes},
    finished_row,
    metered::Metered,
    place::Place,
    sorted::{Sorted, Sought},
    summary,
};
use crate::{
    rows::{LoadError, RowReader},
    state::State,
    workflow::{request::LiveRequest, view::RequestSummary},
};

/// About how many rows one step of a find may read: some ten milliseconds.
pub const FIND_ROWS_MAX: usize = 50_000;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Page {
    /// Only what is behind this place.
    pub after: Option<Place>,
    /// How many to pass over.
    pub offset: usize,
    /// How many at most; `None` is all.
    pub limit: Option<usize>,
}

/// What one step of a find has found.
#[derive(Debug, Default)]
pub struct Found {
    /// Of the page that was asked for, what comes first.
    pub requests: Vec<RequestSummary>,
    /// What of the page is behind that, when as much has been read as one step may. `None`: the page is full, or nothing is behind.
    pub rest: Option<Page>,
}

/// Live and finished requests, newest first, then by id. Of finished ones index rows are read, and the rows of those that are returned.
///
/// Reads about `rows_max` rows, however rare it is what is asked for, and says where to go on. Each step goes on by some.
///
/// # Errors
/// A row is of no known version.
pub fn find(
    state: &State,
    rows: &dyn RowReader,
    filter: &Filter,
    page: Page,
    rows_max: usize,
) -> Result<Found, LoadError> {
    let first = match page.after {
        Some(after) if mutant!("list-cursor-inclusive") => Some(after),
        Some(after) => after.next().zip(filter.first()).map(|(next, first)| next.max(first)),
        None => filter.first(),
    };
    let Some(first) = first else { return Ok(Found::default()) };
    let (rows, hints) = (Metered::new(rows, rows_max), filter.hints());
    let list = filter.finished(Indexes { rows: &rows, hints: &hints });
    let live = state.requests.newest_first_from(first).filter(|live| filter.takes_live(live));
    let finished = Finished { rows: &rows, filter, list, from: Some(first) };
    let mut merged = Merge { live: live.peekable(), finished: finished.peekable() };
    let (mut requests, mut rest) = (Vec::new(), page);
    // What is behind the limit is not looked for.
    while rest.limit != Some(0) {
        if rest != page && rows.is_spent() {
            return Ok(Found { requests, rest: Some(rest) });
        }
        let found = match merged.next().transpose()? {
            None => return Ok(Found { requests, rest: None }),
            Some(Listed::Unread(place)) => {
                rest.after = place.previous();
                return Ok(Found { requests, rest: Some(rest) });
            }
            Some(Listed::Live(live)) => {
                rest.after = Some(live.place());
                (rest.offset == 0).then(|| live.summary())
            }
            Some(Listed::Finished(place)) => {
                rest.after = Some(place);
                // One that has been trimmed meanwhile is left out.
                let row = if rest.offset == 0 { finished_row(&rows, place.id())? } else { None };
                row.map(|row| summary(place.id(), row))
            }
        };
        rest.offset = rest.offset.saturating_sub(1);
        rest.limit = rest.limit.map(|limit| limit - usize::from(found.is_some()));
        requests.extend(found);
    }
    Ok(Found { requests, rest: None })
}

/// All of a page, whatever has to be read for it.
///
/// # Errors
/// A row is of no known version.
pub fn requests(
    state: &State,
    rows: &dyn RowReader,
    filter: &Filter,
    page: Page,
) -> Result<Vec<RequestSummary>, LoadError> {
    Ok(find(state, rows, filter, page, usize::MAX)?.requests)
}

/// A request of a list, not read yet.
enum Listed<'a> {
    Live(&'a LiveRequest),
    Finished(Place),
    /// As much has been read as may be, and no finished one is before this place.
    Unread(Place),
}

/// The finished requests that a filter shows.
struct Finished<'a> {
    rows: &'a Metered<'a>,
    filter: &'a Filter,
    /// `None` when it shows none.
    list: Option<Sorted<'a>>,
    /// Where it goes on; `None` behind the last.
    from: Option<Place>,
}

impl<'a> Finished<'a> {
    fn read_next(&mut self) -> Result<Option<Listed<'a>>, LoadError> {
        let Some(list) = &mut self.list else { return Ok(None) };
        while let Some(from) = self.from {
            let is_shown = match list.seek(from)? {
                Sought::Nothing => break,
                Sought::NotBefore(place) => {
                    self.from = Some(place);
                    None
                }
                Sought::Named(named) => {
                    self.from = named.place.next();
                    let is_shown = named.is_sure
                        || created_head(self.rows, named.place.id())?
                            .is_some_and(|created| self.filter.takes_args(&created.args));
                    is_shown.then_some(named.place)
                }
            };
            if let Some(place) = is_shown {
                return Ok(Some(Listed::Finished(place)));
            }
            if let Some(from) = self.from.filter(|_| self.rows.is_spent()) {
                return Ok(Some(Listed::Unread(from)));
            }
        }
        self.from = None;
        Ok(None)
    }
}

impl<'a> Iterator for Finished<'a> {
    type Item = Result<Listed<'a>, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read_next().transpose()
    }
}

/// Live and finished requests as one list.
struct Merge<'a, L: Iterator<Item = &'a LiveRequest>, F: Iterator<Item = Result<Listed<'a>, LoadError>>> {
    live: Peekable<L>,
    finished: Peekable<F>,
}

impl<'a, L, F> Iterator for Merge<'a, L, F>
where
    L: Iterator<Item = &'a LiveRequest>,
    F: Iterator<Item = Result<Listed<'a>, LoadError>>,
{
    type Item = Result<Listed<'a>, LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let is_live_first = match (self.live.peek(), self.finished.peek()) {
            (Some(live), Some(Ok(Listed::Finished(place) | Listed::Unread(place)))) => live.place() < *place,
            (Some(_), None) => true,
            _ => false,
        };
        if is_live_first {
            return self.live.next().map(|live| Ok(Listed::Live(live)));
        }
        self.finished.next()
    }
}
