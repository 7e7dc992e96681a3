//! The types openraft is instantiated with. Nothing outside this crate sees them.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::runtime::NodeRuntime;

openraft::declare_raft_types!(
    /// openraft's type parameters.
    pub(crate) TypeConfig:
        D = EntryData,
        R = AppliedIndex,
        NodeId = u64,
        Node = openraft::EmptyNode,
        Term = u64,
        LeaderId = openraft::impls::leader_id_std::LeaderId<u64, u64>,
        AsyncRuntime = NodeRuntime,
);

/// The payload of a log entry: an encoded [`capstan_model::command::Entry`], never decoded on the way.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryData(pub(crate) Bytes);

/// What apply tells openraft: the index alone; replies reach their waiters through the published view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppliedIndex(pub(crate) u64);

pub(crate) type Raft = openraft::Raft<TypeConfig, crate::machine::StateMachine>;
pub(crate) type LogId = openraft::type_config::alias::LogIdOf<TypeConfig>;
pub(crate) type RaftEntry = openraft::type_config::alias::EntryOf<TypeConfig>;
pub(crate) type Vote = openraft::type_config::alias::VoteOf<TypeConfig>;
pub(crate) type StoredMembership = openraft::type_config::alias::StoredMembershipOf<TypeConfig>;
pub(crate) type SnapshotMeta = openraft::type_config::alias::SnapshotMetaOf<TypeConfig>;

impl fmt::Debug for EntryData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryData({} bytes)", self.0.len())
    }
}

impl fmt::Display for EntryData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for AppliedIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
