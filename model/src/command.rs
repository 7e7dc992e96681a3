//! All that may enter the log.
//!
//! A [`Command`] is encoded once, where it is made, into a [`Sealed`]; batcher, network and log carry those bytes.
//! An [`Entry`] is one log entry: a batch of sealed commands under one stamp.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    ids::{ClusterId, CommandId, DiskId, Incarnation, NodeId, RequestId, VariableName},
    lrp::command::LrpCommand,
    settings::Setting,
    spec_store::{PushSpecs, RevertSpecs},
    task::command::TaskCommand,
    time::Timestamp,
    workflow::command::{CreateRequest, FinishTry, StartRetry, StopRequest},
};

/// The most commands in one entry.
pub const BATCH_COMMANDS_MAX: usize = 1_024;
/// The most bytes of commands in one entry, unless a single command is larger.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// A command of more bytes travels in an entry of its own.
pub const LONE_COMMAND_BYTES: usize = 256 * 1024;
/// The largest command, in encoded bytes.
pub const COMMAND_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Everything a client, an actor or the leader can ask of the state. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Names the cluster; the first command of its life. Repeats change nothing, another id is refused.
    FoundCluster {
        /// The id drawn by the founding voter.
        cluster: ClusterId,
    },
    /// Records a new life of a node and opens its session. Proposed by the leader; repeats change nothing.
    NodeJoined(NodeJoined),
    /// Sets a variable.
    PutVariable {
        /// Which.
        name: VariableName,
        /// The bytes, at most [`crate::variables::VALUE_BYTES_MAX`].
        value: Bytes,
        /// What must hold for it to happen.
        condition: Condition,
    },
    /// Removes a variable.
    DeleteVariable {
        /// Which.
        name: VariableName,
        /// What must hold for it to happen.
        condition: Condition,
    },
    /// Changes one replicated setting.
    SetSetting(Setting),
    /// Stores a new request with its complete chain.
    CreateRequest(Arc<CreateRequest>),
    /// Reports the end of a try.
    FinishTry(Box<FinishTry>),
    /// Starts the next try of a job whose retry wait is over.
    StartRetry(StartRetry),
    /// Stops a request.
    StopRequest(StopRequest),
    /// Declares a life lost, whose node was silent for too long: it owns nothing any more. Proposed by the leader; repeats
    /// change nothing.
    NodeLost {
        /// The life.
        incarnation: Incarnation,
        /// The leader's term. Under a later one others may have heard the node, so that it is refused.
        term: u64,
    },
    /// Gives requests whose owners may not run them any more, or that wait for one, to nodes that can run them: at most
    /// [`crate::workflow::TAKEN_OVER_MAX`] of them. Proposed by the leader as long as there are any.
    TakeOver,
    /// Lets a node take no new work and hand over what it has, over restarts too.
    DrainNode {
        /// Which.
        node: NodeId,
    },
    /// Ends a drain.
    UndrainNode {
        /// Which.
        node: NodeId,
    },
    /// Lets a node that is shutting down hand over what it has; its next life takes work again. Repeats change nothing.
    NodeLeaving {
        /// The life that is about to end.
        incarnation: Incarnation,
    },
    /// Ends a request that has waited for an owner for longer than it may. Repeats change nothing.
    EndSuspended {
        /// Which.
        request: RequestId,
    },
    /// Something about LRPs or cells.
    Lrp(LrpCommand),
    /// Something about tasks.
    Task(TaskCommand),
    /// Removes the oldest public events, at most [`crate::history::TRIMMED_MAX`] of them, as [`crate::history::trim_below`]
    /// says. What is gone already is left out.
    TrimEvents {
        /// The number of the first that stays.
        below: u64,
    },
    /// Puts new request specs in the place of the current ones.
    PushSpecs(Arc<PushSpecs>),
    /// Makes older request specs current again.
    RevertSpecs(RevertSpecs),
}

/// What must hold of a variable for a write to happen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// Nothing.
    #[default]
    Any,
    /// It has this revision (`If-Match`).
    Revision(u64),
    /// It does not exist (`If-None-Match: *`).
    Absent,
}

/// A new life of a node, as its first heartbeat described it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeJoined {
    /// The life, which names the node.
    pub incarnation: Incarnation,
    /// The data directory it runs on; another one than recorded is refused.
    pub disk: DiskId,
    /// `host:port` for its peers.
    pub peer_address: Arc<str>,
    /// `host:port` of its HTTP API.
    pub http_address: Arc<str>,
    /// How many jobs it runs at a time, not counting those that take no slot.
    pub slots: u32,
    /// The job types it offers, sorted.
    pub job_types: Vec<Arc<str>>,
}

/// The scope of an `Idempotency-Key`, and the hash of the body it came with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// Who, on what, with which key.
    pub scope: IdempotencyScope,
    /// Hash of the body as sent; the same key with another body is refused.
    pub body_hash: u128,
}

/// What makes two idempotent calls the same call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdempotencyScope {
    /// The authenticated caller; empty without auth.
    pub caller: Arc<str>,
    /// The HTTP method.
    pub method: Arc<str>,
    /// The path without its query.
    pub path: Arc<str>,
    /// The header's value, at most 255 bytes.
    pub key: Arc<str>,
}

/// A command as it is stored and sent, with its idempotency scope. A shipped version is never edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stored {
    /// The first shape.
    V1 {
        /// Set when the caller sent an `Idempotency-Key`.
        idempotency: Option<Idempotency>,
        /// What to do.
        command: Command,
    },
}

/// One encoded command under its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Names it for ever.
    pub id: CommandId,
    /// A [`Stored`], encoded with postcard.
    pub bytes: Bytes,
}

/// What a proposer has settled: it waits for no command numbered below `below`, so their replies may be forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The proposer.
    pub incarnation: Incarnation,
    /// Every sequence number below this one is settled.
    pub below: u64,
}

/// The payload of one log entry. A shipped version is never edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// The first shape.
    V1 {
        /// Log time; never before the previous entry's.
        time: Timestamp,
        /// What the batch's senders have settled, one item a sender.
        settled: Vec<Settled>,
        /// The commands, in the order they take effect.
        commands: Vec<Sealed>,
    },
}

/// A command that cannot be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The command is larger than [`COMMAND_BYTES_MAX`].
    #[error("a command of {bytes} bytes; the most is {COMMAND_BYTES_MAX}")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
    },
    /// The bytes are not a command of a version this program knows.
    #[error("undecodable command: {0}")]
    Undecodable(String),
}

impl Sealed {
    /// Encodes a command under its id.
    ///
    /// # Errors
    /// Refuses a command of more than [`COMMAND_BYTES_MAX`] bytes.
    pub fn new(id: CommandId, idempotency: Option<Idempotency>, command: Command) -> Result<Self, SealError> {
        let bytes =
            postcard::to_stdvec(&Stored::V1 { idempotency, command }).expect("commands are serialisable");
        if bytes.len() > COMMAND_BYTES_MAX {
            return Err(SealError::TooLarge { bytes: bytes.len() });
        }
        Ok(Self { id, bytes: bytes.into() })
    }

    /// Decodes the command.
    ///
    /// # Errors
    /// Bytes that are no command of a known version.
    pub fn open(&self) -> Result<Stored, SealError> {
        postcard::from_bytes(&self.bytes).map_err(|e| SealError::Undecodable(e.to_string()))
    }
}

impl Command {
    /// Whether the command has a natural key that makes repeats harmless, so that it needs no session.
    pub fn has_natural_key(&self) -> bool {
        match self {
            Self::FoundCluster { .. }
            | Self::NodeJoined(_)
            | Self::FinishTry(_)
            | Self::StartRetry(_)
            | Self::NodeLost { .. }
            | Self::TakeOver
            | Self::NodeLeaving { .. }
            | Self::EndSuspended { .. }
            | Self::TrimEvents { .. } => true,
            Self::PutVariable { .. }
            | Self::DeleteVariable { .. }
            | Self::SetSetting(_)
            | Self::CreateRequest(_)
            | Self::StopRequest(_)
            | Self::DrainNode { .. }
            | Self::UndrainNode { .. }
            | Self::PushSpecs(_)
            | Self::RevertSpecs(_) => false,
            Self::Lrp(command) => command.has_natural_key(),
            Self::Task(command) => command.has_natural_key(),
        }
    }
}

impl NodeJoined {
    /// The node that joined.
    pub fn node(&self) -> NodeId {
        self.incarnation.node
    }
}
