//! How state looks on disk: tables, keys and changes.
//!
//! A row is a key, whose first byte names its [`Table`], and a value, a postcard enum of versions. *Live* rows
//! (tables below 0x80) are [`crate::state::State`] written out: loading them gives an equal State, and the checksum is taken over
//! them. *Archive* rows (0x80 and above) are what State does not hold; each carries the log index that wrote it, so
//! that a view at an older index can ignore it.

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3;

/// The first byte of a key. A number is never given a second meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Table {
    /// Rows of the store itself (applied log id, membership); not the model's, and not part of the checksum.
    Store = 0x00,
    /// One row: applied index, log time, the variables' revision counter. Written with every entry.
    Tick = 0x01,
    /// One row: what was founded.
    Cluster = 0x02,
    /// By name: a setting that was changed.
    Setting = 0x03,
    /// By node id.
    Node = 0x04,
    /// By node id: the window of its live incarnation.
    Session = 0x05,
    /// By node id, sequence number: a remembered reply.
    SessionReply = 0x06,
    /// By name.
    Variable = 0x07,
    /// By scope: a remembered reply.
    Idempotency = 0x08,
    /// By request: its mutable part.
    Request = 0x10,
    /// By request: its immutable chain.
    Chain = 0x11,
    /// By request, job: its mutable part.
    Job = 0x12,
    /// By request: a finished one.
    FinishedRequest = 0x80,
    /// By request: the chain of a finished one.
    FinishedChain = 0x81,
    /// By request: the jobs of a finished one.
    FinishedJobs = 0x82,
    /// By request, job, try: the log of one try.
    JobLog = 0x83,
    /// Index: creation time, request.
    ByCreation = 0x90,
    /// Index: type, creation time, request.
    ByType = 0x91,
    /// Index: user, creation time, request.
    ByUser = 0x92,
    /// Index: state, creation time, request.
    ByState = 0x93,
}

/// The first byte of the first archive table; below it are the store's own and the live rows.
pub const ARCHIVE_FROM: u8 = 0x80;

impl Table {
    const ALL: [Self; 20] = [
        Self::Store,
        Self::Tick,
        Self::Cluster,
        Self::Setting,
        Self::Node,
        Self::Session,
        Self::SessionReply,
        Self::Variable,
        Self::Idempotency,
        Self::Request,
        Self::Chain,
        Self::Job,
        Self::FinishedRequest,
        Self::FinishedChain,
        Self::FinishedJobs,
        Self::JobLog,
        Self::ByCreation,
        Self::ByType,
        Self::ByUser,
        Self::ByState,
    ];

    /// The table a key belongs to, or `None` for a key of none.
    pub fn of(key: &[u8]) -> Option<Self> {
        let first = *key.first()?;
        Self::ALL.into_iter().find(|table| *table as u8 == first)
    }

    /// Whether its rows are State written out.
    pub fn is_live(self) -> bool {
        self != Self::Store && (self as u8) < ARCHIVE_FROM
    }
}

/// One change of the rows, in the order they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange {
    /// The row has this value now.
    Put {
        /// The whole key.
        key: Bytes,
        /// The whole value.
        value: Bytes,
    },
    /// The row is gone.
    Delete {
        /// The whole key.
        key: Bytes,
    },
}

/// Reads the archive as it was at one index; implemented by the store's view.
///
/// Rows written after the view's index are left out, and a row's value is as it was stored ([`decode_archive`]).
pub trait RowReader {
    /// The row of this key.
    fn get(&self, key: &[u8]) -> Option<Bytes>;

    /// The first `limit` rows with `from <= key < to`, in order.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)>;

    /// The last `limit` rows with `from <= key < to`, in reverse order.
    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)>;
}

/// Rows that are not a State this program can hold: a broken disk, or a newer program's data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The key is of no known shape.
    #[error("row {key}: the key is of no known table or shape")]
    UnknownKey {
        /// The key, in hex.
        key: String,
    },
    /// The value is of no known version.
    #[error("row {key}: {reason}")]
    Undecodable {
        /// The key, in hex.
        key: String,
        /// What the decoder said.
        reason: String,
    },
    /// The rows contradict each other.
    #[error("{reason}")]
    Contradiction {
        /// Which do, and how.
        reason: String,
    },
}

impl LoadError {
    /// The error for a key of no known shape.
    pub fn unknown_key(key: &[u8]) -> Self {
        Self::UnknownKey { key: hex(key) }
    }
}

/// Builds a key whose byte order is the order of its parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key of a table's only row, or the start of a longer one.
    pub fn new(table: Table) -> Self {
        let mut bytes = Vec::with_capacity(32);
        bytes.push(table as u8);
        Self(bytes)
    }

    /// Appends a number, big-endian.
    #[must_use]
    pub fn u64(self, part: u64) -> Self {
        self.fixed(&part.to_be_bytes())
    }

    /// Appends a number, big-endian.
    #[must_use]
    pub fn u32(self, part: u32) -> Self {
        self.fixed(&part.to_be_bytes())
    }

    /// Appends a byte.
    #[must_use]
    pub fn u8(self, part: u8) -> Self {
        self.fixed(&[part])
    }

    /// Appends bytes whose number never differs within the table, or the last part of the key.
    #[must_use]
    pub fn fixed(mut self, part: &[u8]) -> Self {
        self.0.extend_from_slice(part);
        self
    }

    /// Appends text that more parts may follow: a zero byte becomes `00 ff`, and `00 00` ends it, so that the order of texts
    /// is kept and none is a prefix of another.
    #[must_use]
    pub fn text(mut self, part: &str) -> Self {
        for byte in part.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xff);
            }
        }
        self.0.extend_from_slice(&[0, 0]);
        self
    }

    /// The smallest key above every key that starts with this one.
    #[must_use]
    pub fn end(mut self) -> Self {
        while let Some(last) = self.0.pop() {
            if last < 0xff {
                self.0.push(last + 1);
                break;
            }
        }
        self
    }
}

impl std::ops::Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Takes a key apart again, part by part, in the order [`Key`] put them.
#[derive(Debug)]
pub struct KeyReader<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> KeyReader<'a> {
    /// Starts behind the table's byte.
    pub fn new(key: &'a [u8]) -> Self {
        Self { whole: key, rest: key.get(1..).unwrap_or_default() }
    }

    /// Takes a number.
    ///
    /// # Errors
    /// The key is too short.
    pub fn u64(&mut self) -> Result<u64, LoadError> {
        self.fixed().map(u64::from_be_bytes)
    }

    /// Takes a number.
    ///
    /// # Errors
    /// The key is too short.
    pub fn u32(&mut self) -> Result<u32, LoadError> {
        self.fixed().map(u32::from_be_bytes)
    }

    /// Takes a byte.
    ///
    /// # Errors
    /// The key is too short.
    pub fn u8(&mut self) -> Result<u8, LoadError> {
        self.fixed().map(|[byte]| byte)
    }

    /// Takes `N` bytes.
    ///
    /// # Errors
    /// The key is too short.
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let (part, rest) = self.rest.split_first_chunk().ok_or_else(|| LoadError::unknown_key(self.whole))?;
        self.rest = rest;
        Ok(*part)
    }

    /// Takes a text.
    ///
    /// # Errors
    /// The text does not end, or is not UTF-8.
    pub fn text(&mut self) -> Result<String, LoadError> {
        let unknown = || LoadError::unknown_key(self.whole);
        let mut bytes = Vec::new();
        loop {
            let (byte, rest) = self.rest.split_first().ok_or_else(unknown)?;
            self.rest = rest;
            if *byte == 0 {
                let (mark, rest) = self.rest.split_first().ok_or_else(unknown)?;
                self.rest = rest;
                match mark {
                    0x00 => return String::from_utf8(bytes).map_err(|_| unknown()),
                    0xff => {}
                    _ => return Err(unknown()),
                }
            }
            bytes.push(*byte);
        }
    }

    /// Takes what is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// Something is.
    pub fn end(self) -> Result<(), LoadError> {
        if self.rest.is_empty() { Ok(()) } else { Err(LoadError::unknown_key(self.whole)) }
    }
}

/// The versions of a live row. A shipped version is never edited: the next shape of one table is its V2.
#[derive(Serialize, Deserialize)]
enum Live<V> {
    V1(V),
}

/// The versions of an archive row.
#[derive(Serialize, Deserialize)]
enum Archived<V> {
    V1 { index: u64, row: V },
}

/// Decodes the value of a live row.
///
/// # Errors
/// The value is of no known version.
pub fn decode<V: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<V, LoadError> {
    postcard::from_bytes(value).map(|Live::V1(row)| row).map_err(|e| undecodable(key, e))
}

/// Decodes the value of an archive row: the index that wrote it, and the row.
///
/// # Errors
/// The value is of no known version.
pub fn decode_archive<V: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<(u64, V), LoadError> {
    postcard::from_bytes(value).map(|Archived::V1 { index, row }| (index, row)).map_err(|e| undecodable(key, e))
}

/// The index that wrote an archive row, without decoding the rest.
///
/// # Errors
/// The value is of no known version.
pub fn written_at(key: &[u8], value: &[u8]) -> Result<u64, LoadError> {
    postcard::take_from_bytes(value)
        .map(|(Archived::V1 { index, row: () }, _)| index)
        .map_err(|e| undecodable(key, e))
}

/// What one live row adds to the checksum; the checksum is the sum over all live rows, modulo 2^128.
pub fn row_hash(key: &[u8], value: &[u8]) -> u128 {
    xxh3::xxh3_128_with_seed(value, xxh3::xxh3_64(key))
}

/// Collects the row changes of one entry, and what they change in the checksum.
#[derive(Debug)]
pub struct RowSink {
    index: u64,
    changes: Vec<RowChange>,
    /// To be added to the checksum, modulo 2^128.
    checksum: u128,
    /// Buffers, kept so that encoding allocates only what it hands out.
    old: Vec<u8>,
    new: Vec<u8>,
}

/// A point a [`RowSink`] can go back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    changes: usize,
    checksum: u128,
}

impl RowSink {
    /// An empty sink for the entry at `index`.
    pub fn new(index: u64) -> Self {
        Self { index, changes: Vec::new(), checksum: 0, old: Vec::new(), new: Vec::new() }
    }

    /// The index of the entry being applied.
    pub fn index(&self) -> u64 {
        self.index
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
        let key_bytes = Bytes::copy_from_slice(key);
        if new.is_some() {
            self.checksum = self.checksum.wrapping_add(row_hash(key, &self.new));
            self.changes.push(RowChange::Put { key: key_bytes, value: Bytes::copy_from_slice(&self.new) });
        } else {
            self.changes.push(RowChange::Delete { key: key_bytes });
        }
    }

    /// Writes one archive row, under this entry's index.
    pub fn archive<V: Serialize>(&mut self, key: &Key, row: &V) {
        debug_assert!(Table::of(key).is_some_and(|t| t as u8 >= ARCHIVE_FROM), "an archive row has an archive key");
        encode_into(&mut self.new, &Archived::V1 { index: self.index, row });
        self.changes
            .push(RowChange::Put { key: Bytes::copy_from_slice(key), value: Bytes::copy_from_slice(&self.new) });
    }

    /// Removes one archive row.
    pub fn remove_archived(&mut self, key: &Key) {
        debug_assert!(Table::of(key).is_some_and(|t| t as u8 >= ARCHIVE_FROM), "an archive row has an archive key");
        self.changes.push(RowChange::Delete { key: Bytes::copy_from_slice(key) });
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { changes: self.changes.len(), checksum: self.checksum }
    }

    /// Forgets everything since the mark.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.changes.truncate(mark.changes);
        self.checksum = mark.checksum;
    }

    /// The changes, and what to add to the checksum.
    pub fn finish(self) -> (Vec<RowChange>, u128) {
        (self.changes, self.checksum)
    }
}

fn encode_into<V: Serialize>(buffer: &mut Vec<u8>, value: &V) {
    buffer.clear();
    *buffer = postcard::to_extend(value, std::mem::take(buffer)).expect("rows are serialisable");
}

fn undecodable(key: &[u8], error: postcard::Error) -> LoadError {
    LoadError::Undecodable { key: hex(key), reason: error.to_string() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
