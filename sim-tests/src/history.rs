//! What clients asked and were told, and whether one register per key could have answered so.

pub(crate) mod callers;
pub mod linearizable;
pub(crate) mod registers;
mod spec_versions;
pub mod witness;

use bytes::Bytes;

/// What a client wanted of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Write this value, which nobody else ever writes.
    Put {
        /// The value.
        value: Bytes,
        /// Only if the key has this revision.
        if_revision: Option<u64>,
    },
    /// Remove it.
    Delete,
    /// Read it, linearizably.
    Get,
    /// Read whatever the node has, at least this log index.
    GetStale {
        /// The index.
        at_least: u64,
    },
    /// List all keys, linearizably, whatever the key.
    List,
}

/// A key in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub key: String,
    /// Its revision.
    pub revision: u64,
    /// How long its value is, in bytes.
    pub size: u64,
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The value has this revision now.
    Put {
        /// The revision.
        revision: u64,
        /// Whether the key was absent.
        created: bool,
    },
    /// It is gone.
    Deleted,
    /// It has this value and revision.
    Found {
        /// The value.
        value: Bytes,
        /// Its revision.
        revision: u64,
    },
    /// It does not exist.
    Absent,
    /// These are all there are.
    Listed(Vec<Listed>),
    /// Its revision is another.
    Mismatch,
    /// Another call was made under its idempotency key, and nothing happened.
    KeyReused,
    /// Nothing happened.
    NotDone,
    /// It may have happened, and may happen yet.
    Unknown,
}

/// One call of one client, retries under one idempotency key included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Who.
    pub client: u64,
    /// Which key.
    pub key: String,
    /// What was asked.
    pub call: Call,
    /// When, in microseconds of virtual time.
    pub invoked_us: u64,
    /// When the answer came; `u64::MAX` when the outcome is unknown.
    pub returned_us: u64,
    /// What was told.
    pub outcome: Outcome,
    /// The log index that came with the answer; 0 without one.
    pub index: u64,
}

impl Operation {
    /// Whether it may have changed its key.
    pub fn is_write(&self) -> bool {
        matches!(self.call, Call::Put { .. } | Call::Delete)
    }
}
