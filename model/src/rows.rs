//! How state looks on disk: tables, keys and changes.
//!
//! A row is a key, whose first byte names its [`Table`], and a value, a postcard enum of versions. *Live* rows
//! (tables below 0x80) are [`crate::state::State`] written out: loading them gives an equal State, and the checksum is taken over
//! them. *Archive* rows (0x80 and above) are what State does not hold; each carries the log index that wrote it, so
//! that a view at an older index can ignore it.

mod key;
mod sink;

use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use xxhash_rust::xxh3;

pub use key::{Key, KeyReader};
pub use sink::RowSink;

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
    /// By node id, log index: the remembered replies to the node's commands in that entry.
    SessionReplies = 0x06,
    /// By name.
    Variable = 0x07,
    /// By scope: a remembered reply.
    Idempotency = 0x08,
    /// One row: which public events are kept. Written with every entry that has any.
    History = 0x09,
    /// One row: which finished requests are kept. Written with every entry that ends or removes any.
    Archive = 0x0a,
    /// By request: its mutable part.
    Request = 0x10,
    /// By request: its immutable chain.
    Chain = 0x11,
    /// By request, job: its mutable part.
    Job = 0x12,
    /// By request, place in its chain: a sequence that has failed or is failing.
    Sequence = 0x13,
    /// By request, place in its chain: expansions of which some may start.
    Parallel = 0x14,
    /// By request: what it has beyond Spin Cycle.
    Terms = 0x15,
    /// By request: what users and time have done to it.
    Control = 0x16,
    /// By guid: the immutable part of a desired LRP.
    LrpDefinition = 0x20,
    /// By guid: the part of a desired LRP that its owner may change, and its tag.
    LrpChangeable = 0x21,
    /// By guid, index, presence: a record of an index.
    ActualLrp = 0x22,
    /// By name: until when a domain is fresh.
    Domain = 0x23,
    /// By node id: the cell of its newest life.
    Cell = 0x24,
    /// By guid: the immutable part of a task.
    TaskDefinition = 0x28,
    /// By guid: the rest of a task.
    Task = 0x29,
    /// One row: what is asked of callers, once it is not as at first.
    AuthPolicy = 0x30,
    /// By token id.
    Token = 0x31,
    /// One row: which records of the audit are kept.
    AuditTrail = 0x32,
    /// By its number: a version of the request specs, without its texts.
    SpecVersion = 0x33,
    /// By its hash: a text of request specs.
    SpecText = 0x34,
    /// By request: a finished one.
    FinishedRequest = 0x80,
    /// By request: the chain of a finished one.
    FinishedChain = 0x81,
    /// By request: the jobs of a finished one.
    FinishedJobs = 0x82,
    /// By request, job, try: the log of one try.
    JobLog = 0x83,
    /// By request: what a finished one had beyond Spin Cycle, and what was done to it.
    FinishedTerms = 0x84,
    /// By request, job, try: what was decided about an approval.
    Decision = 0x85,
    /// By request: the job data of a finished one that another may go on with.
    FinishedData = 0x86,
    /// Index: creation time, request.
    ByCreation = 0x90,
    /// Index: type, creation time, request.
    ByType = 0x91,
    /// Index: user, creation time, request.
    ByUser = 0x92,
    /// Index: state, creation time, request.
    ByState = 0x93,
    /// Index: arg, creation time, request.
    ByArg = 0x94,
    /// Index: class of length, creation time, request; when it ended.
    ByLength = 0x95,
    /// Index: number in the order of ends; the request.
    ByEnd = 0x96,
    /// Index: finished request, the request that goes on with it.
    ByRetryOf = 0x97,
    /// By its number: a public event.
    Event = 0xa0,
    /// By its number: a record of what a caller did.
    Audit = 0xa8,
}

/// The first byte of the first archive table; below it are the store's own and the live rows.
pub const ARCHIVE_FROM: u8 = 0x80;

impl Table {
    const ALL: [Self; 47] = [
        Self::Store,
        Self::Tick,
        Self::Cluster,
        Self::Setting,
        Self::Node,
        Self::Session,
        Self::SessionReplies,
        Self::Variable,
        Self::Idempotency,
        Self::History,
        Self::Archive,
        Self::Request,
        Self::Chain,
        Self::Job,
        Self::Sequence,
        Self::Parallel,
        Self::Terms,
        Self::Control,
        Self::LrpDefinition,
        Self::LrpChangeable,
        Self::ActualLrp,
        Self::Domain,
        Self::Cell,
        Self::TaskDefinition,
        Self::Task,
        Self::AuthPolicy,
        Self::Token,
        Self::AuditTrail,
        Self::SpecVersion,
        Self::SpecText,
        Self::FinishedRequest,
        Self::FinishedChain,
        Self::FinishedJobs,
        Self::JobLog,
        Self::FinishedTerms,
        Self::Decision,
        Self::FinishedData,
        Self::ByCreation,
        Self::ByType,
        Self::ByUser,
        Self::ByState,
        Self::ByArg,
        Self::ByLength,
        Self::ByEnd,
        Self::ByRetryOf,
        Self::Event,
        Self::Audit,
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
    postcard::from_bytes(value)
        .map(|Archived::V1 { index, row }| (index, row))
        .map_err(|e| undecodable(key, e))
}

/// As [`decode_archive`], of a value whose last fields are of no interest.
///
/// # Errors
/// The value is of no known version.
pub fn decode_archive_head<V: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<V, LoadError> {
    postcard::take_from_bytes(value)
        .map(|(Archived::V1 { index: _, row }, _)| row)
        .map_err(|e| undecodable(key, e))
}

/// As [`decode_archive`], of a table whose rows had no content once; `None` for one of these.
///
/// # Errors
/// The value is of no known version.
pub fn decode_archive_if_any<V: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<Option<V>, LoadError> {
    let (Archived::V1 { index: _, row: () }, row) =
        postcard::take_from_bytes(value).map_err(|e| undecodable(key, e))?;
    let row = (!row.is_empty()).then(|| postcard::from_bytes(row)).transpose();
    row.map_err(|e| undecodable(key, e))
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

fn undecodable(key: &[u8], error: postcard::Error) -> LoadError {
    LoadError::Undecodable { key: hex(key), reason: error.to_string() }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
