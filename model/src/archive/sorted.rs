//! Lists of finished requests made of index rows: one index, several as alternatives, or what several have in common.
//!
//! All are in the order of lists, and are read from where they are asked. What several have in common is found by leaping: each
//! list is asked for its first request at or behind the farthest that any other has named. So the list that has the fewest rows in the part
//! that is looked at leads, without anybody having counted, and of the others only what it names is read.

use super::place::Place;
use crate::{
    rows::{self, Key, LoadError, RowReader},
    time::Timestamp,
    workflow::newest_first,
};

/// How many rows are read where a list was leapt into.
const ROWS_MIN: usize = 16;
/// How many rows are read at a time where a list is read through.
const ROWS_MAX: usize = 1_024;
/// Beginning to read somewhere costs about as much as reading so many rows on.
const ROWS_PASSED_MAX: usize = 32;

/// A request that a list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) place: Place,
    /// Whether it belongs to the list for sure, or its own row has to be asked.
    pub(super) is_sure: bool,
}

/// A list of finished requests in the order of lists.
pub(super) enum Sorted<'a> {
    /// What one index has.
    Index(Box<IndexList<'a>>),
    /// What any of these has.
    Any(Vec<Self>),
    /// What all of these have; at least one.
    All(Vec<Self>),
}

impl Sorted<'_> {
    /// The first request at or behind a place. Places only go forward from call to call.
    pub(super) fn seek(&mut self, from: Place) -> Result<Option<Named>, LoadError> {
        match self {
            Self::Index(list) => list.seek(from),
            Self::Any(lists) => seek_any(lists, from),
            Self::All(lists) => seek_all(lists, from),
        }
    }
}

fn seek_any(lists: &mut [Sorted<'_>], from: Place) -> Result<Option<Named>, LoadError> {
    let mut first: Option<Named> = None;
    for list in lists {
        let Some(named) = list.seek(from)? else { continue };
        match &mut first {
            Some(first) if first.place < named.place => {}
            Some(first) if first.place == named.place => first.is_sure |= named.is_sure,
            _ => first = Some(named),
        }
    }
    Ok(first)
}

fn seek_all(lists: &mut [Sorted<'_>], from: Place) -> Result<Option<Named>, LoadError> {
    let count = lists.len();
    let mut common = Named { place: from, is_sure: true };
    // How many lists in a row have named it.
    let mut agreed = 0;
    loop {
        for list in &mut *lists {
            let Some(named) = list.seek(common.place)? else { return Ok(None) };
            if named.place > common.place {
                (common, agreed) = (named, 1);
            } else {
                common.is_sure &= named.is_sure;
                agreed += 1;
            }
            if agreed == count {
                return Ok(Some(common));
            }
        }
    }
}

/// What one index has, read a page of rows at a time.
pub(super) struct IndexList<'a> {
    rows: &'a dyn RowReader,
    prefix: Key,
    /// Where it ends; the end of the index, or earlier.
    end: Key,
    /// Only what ended after this; the rows say when.
    ended_after: Option<Timestamp>,
    is_sure: bool,
    page: Vec<Place>,
    /// Where in the page it was asked last.
    at: usize,
    /// How many calls the page has answered.
    answered: usize,
    page_rows: usize,
    /// Whether nothing is behind the page.
    is_last: bool,
}

impl<'a> IndexList<'a> {
    /// All of an index.
    pub(super) fn new(rows: &'a dyn RowReader, prefix: Key) -> Self {
        let end = prefix.clone().end();
        Self {
            rows,
            prefix,
            end,
            ended_after: None,
            is_sure: true,
            page: Vec::new(),
            at: 0,
            answered: 0,
            page_rows: ROWS_MIN,
            is_last: false,
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

    fn seek(&mut self, from: Place) -> Result<Option<Named>, LoadError> {
        if self.page.get(self.at).is_some_and(|place| *place < from) {
            self.at += self.page[self.at..].partition_point(|place| *place < from);
        }
        if self.at == self.page.len() && !self.is_last {
            self.read(from)?;
        }
        self.answered += 1;
        Ok(self.page.get(self.at).map(|place| Named { place: *place, is_sure: self.is_sure }))
    }

    /// Reads the page that begins at a place: a larger one if the page before was read through, in steps that are shorter than a leap is
    /// worth; a smaller one if it was leapt over.
    fn read(&mut self, from: Place) -> Result<(), LoadError> {
        let was_read_through = self.answered > 1 && self.answered * ROWS_PASSED_MAX >= self.page.len();
        self.page_rows =
            if was_read_through { self.page_rows * 4 } else { self.page_rows / 4 }.clamp(ROWS_MIN, ROWS_MAX);
        (self.at, self.answered) = (0, 0);
        self.page.clear();
        let mut from = from.key(&self.prefix).to_vec();
        while self.page.is_empty() && !self.is_last {
            if *from >= *self.end {
                self.is_last = true;
                break;
            }
            let rows = self.rows.scan(&from, &self.end, self.page_rows);
            self.is_last = rows.len() < self.page_rows;
            for (key, value) in &rows {
                if self.takes(key, value)? {
                    self.page.push(Place::of_key(key)?);
                }
            }
            if let Some((last, _)) = rows.last() {
                // The smallest key above it.
                from = [last, &[0][..]].concat();
            }
            if self.page.is_empty() {
                self.page_rows = (self.page_rows * 4).min(ROWS_MAX);
            }
        }
        Ok(())
    }

    fn takes(&self, key: &[u8], value: &[u8]) -> Result<bool, LoadError> {
        let Some(moment) = self.ended_after else { return Ok(true) };
        let (_, ended_at): (u64, Timestamp) = rows::decode_archive(key, value)?;
        Ok(ended_at > moment)
    }
}
