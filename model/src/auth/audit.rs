//! Which caller changed what: records as rows, in one order for the whole cluster, and the oldest gone when there are too many.
//!
//! A record is written by the entry that did what it tells of. Recorded is what was done on behalf of a caller with a name; of nobody in
//! particular there would be nothing to say.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Auth, Author, Credential, Operation, subject, token::TokenId};
use crate::{
    command::Command,
    rows::{self, Key, KeyReader, LoadError, RowReader, RowSink, Table},
    time::Timestamp,
};

/// How many records are kept; the next one takes the place of the oldest.
pub const RECORDS_MAX: u64 = 100_000;
/// How many records one page looks at, whatever it is to show.
const LOOKED_AT_MAX: usize = 10_000;
/// The longest account of what was done, in bytes; it is cut there.
const WHAT_BYTES_MAX: usize = 1_000;

/// Which records there are, by their numbers: without gaps, from the first of the cluster on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    first: u64,
    next: u64,
}

/// That somebody changed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number; one more than that of the record before it.
    pub number: u64,
    /// The log index that did it.
    pub index: u64,
    /// Log time of it.
    pub at: Timestamp,
    /// Who.
    pub caller: Arc<str>,
    /// With which token, if it was one.
    pub token: Option<TokenId>,
    /// What he may do.
    pub operation: Operation,
    /// What he did, for people.
    pub what: Arc<str>,
}

/// The row of a record; its number is its key and the log index beside it.
#[derive(Serialize, Deserialize)]
struct RecordRow {
    at: Timestamp,
    caller: Arc<str>,
    token: Option<TokenId>,
    operation: Operation,
    what: Arc<str>,
}

/// Which records are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Those of this caller.
    pub caller: Option<String>,
    /// Those of this operation.
    pub operation: Option<Operation>,
    /// Those before the one of this number.
    pub after: Option<u64>,
}

/// Some records, the newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most as many as were asked for.
    pub records: Vec<Record>,
    /// The last that was looked at, if there may be more: what to continue after.
    pub next: Option<u64>,
}

impl Trail {
    /// The number of the oldest record that is kept.
    pub fn first(self) -> u64 {
        self.first
    }

    /// The number of the next one.
    pub fn next(self) -> u64 {
        self.next
    }

    /// Writes the row as it is now over this one; before the first record there is none.
    pub(super) fn replace_with(self, now: Self, sink: &mut RowSink) {
        let row = |trail: Self| (trail != Self::default()).then_some(trail);
        sink.replace(&Key::new(Table::AuditTrail), row(self).as_ref(), row(now).as_ref());
    }
}

impl Auth {
    /// Records that a command was done, if a caller with a name had it done.
    pub(crate) fn record(&mut self, now: Timestamp, author: &Author, command: &Command, sink: &mut RowSink) {
        let (Some(operation), false) = (Operation::of(command), author.name.is_empty()) else { return };
        let token = match author.credential {
            Credential::Token(id) => Some(id),
            Credential::None | Credential::Receptor => None,
        };
        let what = cut(subject(command)).into();
        let row = RecordRow { at: now, caller: Arc::clone(&author.name), token, operation, what };
        let before = self.trail;
        sink.archive(&record_key(before.next), &row);
        self.trail.next += 1;
        if self.trail.next - before.first > RECORDS_MAX {
            sink.remove_archived(&record_key(before.first));
            self.trail.first += 1;
        }
        before.replace_with(self.trail, sink);
    }
}

/// Some of the records that are wanted, the newest first. At most ten thousand are looked at, so that a page may be short, or empty, and
/// others follow.
///
/// # Errors
/// A row is of no known version.
pub fn page(rows: &dyn RowReader, wanted: &Wanted, limit: usize) -> Result<Page, LoadError> {
    let from = Key::new(Table::Audit);
    let to = wanted.after.map_or_else(|| Key::new(Table::Audit).end(), record_key);
    let found = rows.scan_back(&from, &to, LOOKED_AT_MAX);
    let mut next =
        (found.len() == LOOKED_AT_MAX).then(|| number_of(&found[LOOKED_AT_MAX - 1].0)).transpose()?;
    let mut records = Vec::new();
    for (key, value) in &found {
        let record = read(key, value)?;
        if !wanted.has(&record) {
            continue;
        }
        if records.len() == limit {
            next = records.last().map(|last: &Record| last.number);
            break;
        }
        records.push(record);
    }
    Ok(Page { records, next })
}

impl Wanted {
    fn has(&self, record: &Record) -> bool {
        self.caller.as_deref().is_none_or(|caller| *caller == *record.caller)
            && self.operation.is_none_or(|operation| operation == record.operation)
    }
}

fn read(key: &[u8], value: &[u8]) -> Result<Record, LoadError> {
    let number = number_of(key)?;
    let (index, RecordRow { at, caller, token, operation, what }) = rows::decode_archive(key, value)?;
    Ok(Record { number, index, at, caller, token, operation, what })
}

fn number_of(key: &[u8]) -> Result<u64, LoadError> {
    let mut parts = KeyReader::new(key);
    let number = parts.u64()?;
    parts.end()?;
    Ok(number)
}

fn record_key(number: u64) -> Key {
    Key::new(Table::Audit).u64(number)
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(WHAT_BYTES_MAX));
    text
}
