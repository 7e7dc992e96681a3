//! The sink: row changes of one entry, and what they change in the checksum.

use std::ops::Range;

use bytes::Bytes;
use serde::Serialize;

use super::{ARCHIVE_FROM, Archived, Key, Live, RowChange, Table, row_hash};

/// Collects the row changes of one entry, and what they change in the checksum.
#[derive(Debug)]
pub struct RowSink {
    index: u64,
    /// Keys and values one after the other: an allocation for each would cost more than encoding them.
    bytes: Vec<u8>,
    changes: Vec<Change>,
    /// To be added to the checksum, modulo 2^128.
    checksum: u128,
    /// How many public events the entry has so far.
    ordinals: u32,
    /// Buffers for what is being encoded: a row that panics in this leaves `bytes` whole, and the sink can go back.
    old: Vec<u8>,
    new: Vec<u8>,
}

/// A row change, by where its parts are in the sink's bytes.
#[derive(Debug)]
struct Change {
    key: Range<usize>,
    /// `None` when the row is gone.
    value: Option<Range<usize>>,
}

/// A point a [`RowSink`] can go back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    bytes: usize,
    changes: usize,
    checksum: u128,
    ordinals: u32,
}

impl RowSink {
    /// An empty sink for the entry at `index`.
    pub fn new(index: u64) -> Self {
        Self { index, bytes: vec![], changes: vec![], checksum: 0, ordinals: 0, old: vec![], new: vec![] }
    }

    /// The index of the entry being applied.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Counts one more public event of the entry, and says which it is.
    pub(crate) fn next_ordinal(&mut self) -> u32 {
        self.ordinals += 1;
        self.ordinals - 1
    }

    /// Changes one live row from what it was to what it is; `None` is no row. The sink adds the version.
    pub fn replace<V: Serialize>(&mut self, key: &Key, old: Option<&V>, new: Option<&V>) {
        debug_assert!(Table::of(key).is_some_and(Table::is_live), "a live row has a live key");
        if let Some(old) = old {
            encode_into(&mut self.old, &Live::V1(old));
        }
        if let Some(new) = new {
            encode_into(&mut self.new, &Live::V1(new));
        }
        if old.is_some() == new.is_some() && (old.is_none() || self.old == self.new) {
            return;
        }
        if old.is_some() {
            self.checksum = self.checksum.wrapping_sub(row_hash(key, &self.old));
        }
        if new.is_some() {
            self.checksum = self.checksum.wrapping_add(row_hash(key, &self.new));
            self.put(key);
        } else {
            self.delete(key);
        }
    }

    /// Writes one archive row, under this entry's index.
    pub fn archive<V: Serialize>(&mut self, key: &Key, row: &V) {
        debug_assert!(
            Table::of(key).is_some_and(|t| t as u8 >= ARCHIVE_FROM),
            "an archive row has an archive key"
        );
        encode_into(&mut self.new, &Archived::V1 { index: self.index, row });
        self.put(key);
    }

    /// Removes one archive row.
    pub fn remove_archived(&mut self, key: &Key) {
        debug_assert!(
            Table::of(key).is_some_and(|t| t as u8 >= ARCHIVE_FROM),
            "an archive row has an archive key"
        );
        self.delete(key);
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            bytes: self.bytes.len(),
            changes: self.changes.len(),
            checksum: self.checksum,
            ordinals: self.ordinals,
        }
    }

    /// Forgets everything since the mark.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.changes.truncate(mark.changes);
        self.checksum = mark.checksum;
        self.ordinals = mark.ordinals;
    }

    /// The changes, and what to add to the checksum. The changes share one buffer.
    pub fn finish(self) -> (Vec<RowChange>, u128) {
        let bytes = Bytes::from(self.bytes);
        let changes = self.changes.into_iter().map(|Change { key, value }| {
            let key = bytes.slice(key);
            match value {
                Some(value) => RowChange::Put { key, value: bytes.slice(value) },
                None => RowChange::Delete { key },
            }
        });
        (changes.collect(), self.checksum)
    }

    /// Notes that the key has the value that was encoded last.
    fn put(&mut self, key: &Key) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(&self.new);
        self.changes.push(Change { key: start..middle, value: Some(middle..self.bytes.len()) });
    }

    fn delete(&mut self, key: &Key) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        self.changes.push(Change { key: start..self.bytes.len(), value: None });
    }
}

fn encode_into<V: Serialize>(buffer: &mut Vec<u8>, value: &V) {
    buffer.clear();
    *buffer = postcard::to_extend(value, std::mem::take(buffer)).expect("rows are serialisable");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{decode, decode_archive, written_at};

    fn key(name: &str) -> Key {
        Key::new(Table::Variable).fixed(name.as_bytes())
    }

    #[test]
    fn the_checksum_depends_on_the_rows_and_not_on_the_way_to_them() {
        let mut long = RowSink::new(1);
        long.replace(&key("a"), None, Some(&1));
        long.replace(&key("b"), None, Some(&2));
        long.replace(&key("a"), Some(&1), Some(&3));
        long.replace(&key("b"), Some(&2), None);
        let mut short = RowSink::new(9);
        short.replace(&key("a"), None, Some(&3));
        let (short, sum) = short.finish();
        assert_eq!(long.finish().1, sum);

        let RowChange::Put { key, value } = &short[0] else { panic!("a put") };
        assert_eq!(sum, row_hash(key, value));
        assert_eq!(decode(key, value), Ok(3));
    }

    #[test]
    fn keys_and_values_cannot_be_swapped_unseen() {
        let sum = |rows: [(&str, &str); 2]| {
            let mut sink = RowSink::new(1);
            rows.into_iter().for_each(|(name, value)| sink.replace(&key(name), None, Some(&value)));
            sink.finish().1
        };
        assert_ne!(sum([("a", "x"), ("b", "y")]), sum([("a", "y"), ("b", "x")]));
        assert_eq!(sum([("a", "x"), ("b", "y")]), sum([("b", "y"), ("a", "x")]));
    }

    #[test]
    fn a_row_that_stays_as_it_was_is_not_written() {
        let mut sink = RowSink::new(1);
        sink.replace(&key("a"), Some(&1), Some(&1));
        sink.replace::<u8>(&key("a"), None, None);
        assert_eq!(sink.finish(), (vec![], 0));
    }

    #[test]
    fn an_archive_row_carries_its_index_and_counts_for_nothing() {
        let key = Key::new(Table::JobLog).u64(1);
        let mut sink = RowSink::new(300);
        sink.archive(&key, &"text".to_owned());
        sink.remove_archived(&key);
        let (changes, sum) = sink.finish();
        assert_eq!(sum, 0);
        let RowChange::Put { value, .. } = &changes[0] else { panic!("a put") };
        assert_eq!(written_at(&key, value), Ok(300));
        assert_eq!(decode_archive(&key, value), Ok((300, "text".to_owned())));
        assert_eq!(changes[1], RowChange::Delete { key: Bytes::copy_from_slice(&key) });
    }

    #[test]
    fn what_comes_after_a_mark_can_be_forgotten() {
        let mut sink = RowSink::new(1);
        sink.replace(&key("a"), None, Some(&1));
        let mark = sink.mark();
        sink.replace(&key("b"), None, Some(&2));
        sink.rewind(mark);
        let mut untouched = RowSink::new(1);
        untouched.replace(&key("a"), None, Some(&1));
        assert_eq!(sink.finish(), untouched.finish());
    }
}
