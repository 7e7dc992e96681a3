//! What one index has, read a page of rows at a time: more where it is read through, fewer where it is leapt over.

use super::{
    metered::ROWS_OF_A_SCAN,
    place::Place,
    sorted::{Named, Sought},
};
use crate::{
    rows::{self, Key, LoadError, RowReader},
    time::Timestamp,
    workflow::{Hint, WantedHints, newest_first},
};

/// How many rows are read where a list was leapt into.
const ROWS_MIN: usize = 16;
/// How many rows are read at a time where a list is read through.
const ROWS_MAX: usize = 1_024;

/// What one index has of the requests that other filters may leave.
pub(super) struct IndexList<'a> {
    rows: &'a dyn RowReader,
    prefix: Key,
    /// Where it ends; the end of the index, or earlier.
    end: Key,
    wanted: &'a WantedHints,
    /// Only what ended after this; the rows say when.
    ended_after: Option<Timestamp>,
    is_sure: bool,
    page: Vec<Row>,
    /// Where in the page it was asked last.
    at: usize,
    /// The first place behind the page; `None` if nothing is there.
    read_to: Option<Place>,
    pace: Pace,
}

/// A row of the page.
struct Row {
    place: Place,
    /// Whether the list has it, as far as the row says.
    is_wanted: bool,
}

impl<'a> IndexList<'a> {
    /// Of an index what these hints leave.
    pub(super) fn new(rows: &'a dyn RowReader, prefix: Key, wanted: &'a WantedHints) -> Self {
        let end = prefix.clone().end();
        Self {
            rows,
            prefix,
            end,
            wanted,
            ended_after: None,
            is_sure: true,
            page: Vec::new(),
            at: 0,
            read_to: Some(Place::FIRST),
            pace: Pace::new(),
        }
    }

    /// Of an index whose rows say when requests ended, what ended after a moment. None of these was created before `created_from`.
    pub(super) fn ended_after(mut self, moment: Timestamp, created_from: Timestamp) -> Self {
        self.ended_after = Some(moment);
        self.end = newest_first(self.prefix.clone(), created_from).end();
        self
    }

    /// An index that may have more than the list.
    pub(super) fn unsure(mut self) -> Self {
        self.is_sure = false;
        self
    }

    /// As [`Sorted::seek`](super::sorted::Sorted::seek). Reads one page at most.
    pub(super) fn seek(&mut self, from: Place) -> Result<Sought, LoadError> {
        let passed = self.page[self.at..].partition_point(|row| row.place < from);
        self.at += passed;
        if let Some(named) = self.next_wanted() {
            self.pace.pass(passed);
            return Ok(Sought::Named(named));
        }
        match self.read_to {
            None => Ok(Sought::Nothing),
            Some(read_to) if from < read_to => Ok(Sought::NotBefore(read_to)),
            Some(read_to) => {
                self.pace.pass(passed + self.rows_between(read_to, from));
                self.read(from)?;
                Ok(match (self.next_wanted(), self.read_to) {
                    (Some(named), _) => Sought::Named(named),
                    (None, Some(read_to)) => Sought::NotBefore(read_to),
                    (None, None) => Sought::Nothing,
                })
            }
        }
    }

    /// Goes to the next request of the page that the list has, or to its end.
    fn next_wanted(&mut self) -> Option<Named> {
        let ahead = &self.page[self.at..];
        self.at += ahead.iter().position(|row| row.is_wanted).unwrap_or(ahead.len());
        self.page.get(self.at).map(|row| Named { place: row.place, is_sure: self.is_sure })
    }

    /// About how many rows are between the end of the page and a place behind it, if they lie as closely as those of the page.
    fn rows_between(&self, read_to: Place, from: Place) -> usize {
        let (Some(first), gap) = (self.page.first(), read_to.nanos_after(from)) else { return 0 };
        let span = first.place.nanos_after(read_to).max(1);
        let rows = (self.page.len() as u128 * u128::from(gap)) / u128::from(span);
        usize::try_from(rows).unwrap_or(ROWS_MAX).min(ROWS_MAX)
    }

    /// Reads the page that begins at a place.
    fn read(&mut self, from: Place) -> Result<(), LoadError> {
        let page_rows = self.pace.next_page();
        self.at = 0;
        self.page.clear();
        self.read_to = None;
        let from = from.key(&self.prefix);
        if *from >= *self.end {
            return Ok(());
        }
        let rows = self.rows.scan(&from, &self.end, page_rows);
        for (key, value) in &rows {
            self.page.push(Row { place: Place::of_key(key)?, is_wanted: self.wants(key, value)? });
        }
        if rows.len() == page_rows {
            self.read_to = self.page.last().and_then(|last| last.place.next());
        }
        Ok(())
    }

    fn wants(&self, key: &[u8], value: &[u8]) -> Result<bool, LoadError> {
        let Some(moment) = self.ended_after else {
            let hint: Option<Hint> = rows::decode_archive_if_any(key, value)?;
            return Ok(hint.is_none_or(|hint| self.wanted.admit(hint)));
        };
        let (_, (hint, ended_at)): (u64, (Hint, Timestamp)) = rows::decode_archive(key, value)?;
        Ok(ended_at > moment && self.wanted.admit(hint))
    }
}

/// How many rows a page has: more than the page before if, from one call to the next, no more rows of it were leapt over than beginning
/// to read costs; fewer if there were more.
struct Pace {
    page_rows: usize,
    /// How many calls went on from where the one before was.
    calls: usize,
    /// How many rows these leapt over.
    leapt: usize,
}

impl Pace {
    fn new() -> Self {
        Self { page_rows: 0, calls: 0, leapt: 0 }
    }

    /// Notes that a call went on by so many rows. The first of them was asked for.
    fn pass(&mut self, rows: usize) {
        self.calls += usize::from(rows > 0);
        self.leapt += rows.saturating_sub(1);
    }

    /// How many rows the next page is to have.
    fn next_page(&mut self) -> usize {
        let is_read_through = self.leapt <= ROWS_OF_A_SCAN * self.calls;
        let rows = if is_read_through { self.page_rows * 4 } else { self.page_rows / 4 };
        *self = Self { page_rows: rows.clamp(ROWS_MIN, ROWS_MAX), ..Self::new() };
        self.page_rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rows the next page has when each of some calls on the page before went on by so many rows.
    fn after(pace: &mut Pace, steps: &[usize]) -> usize {
        steps.iter().for_each(|rows| pace.pass(*rows));
        pace.next_page()
    }

    #[test]
    fn pages_grow_where_an_index_is_read_through_and_shrink_where_it_is_leapt_over() {
        let mut pace = Pace::new();
        assert_eq!(after(&mut pace, &[0]), ROWS_MIN);
        assert_eq!(after(&mut pace, &[1; 16]), 64, "each row was asked for");
        assert_eq!(after(&mut pace, &[30; 3]), 256, "few rows were leapt over at a time");
        assert_eq!(after(&mut pace, &[]), ROWS_MAX, "no row of it was wanted, and no other list leapt");
        assert_eq!(after(&mut pace, &[1; 1_024]), ROWS_MAX);
        assert_eq!(after(&mut pace, &[200; 5]), 256);
        assert_eq!(after(&mut pace, &[1_000]), 64);
        assert_eq!(after(&mut pace, &[1_000]), ROWS_MIN);
        assert_eq!(after(&mut pace, &[1_000]), ROWS_MIN);
    }
}
