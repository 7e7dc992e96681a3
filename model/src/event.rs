//! All that may come out of apply: what happened, for those who wait for it.
//!
//! Events are hints to actors and the source of event streams; State is changed by nothing else.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    cluster::Cluster,
    command::NodeJoined,
    ids::{Incarnation, NodeId, VariableName},
    lrp::event::LrpEvent,
    settings::Setting,
    spec_store::{TextHash, VersionNumber, VersionRecord},
    task::TaskEvent,
    workflow::event::WorkflowEvent,
};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The cluster got its id.
    ClusterFounded(Cluster),
    /// A node began a new life, and its session opened.
    NodeJoined(NodeJoined),
    /// A life was declared lost.
    NodeLost {
        /// The life, its node's newest.
        incarnation: Incarnation,
    },
    /// A life is about to end in good order.
    NodeLeaving {
        /// The life, its node's newest.
        incarnation: Incarnation,
    },
    /// A node was drained, or is no longer.
    NodeDrained {
        /// Which.
        node: NodeId,
        /// Whether it is.
        draining: bool,
    },
    /// The session of an earlier life, or of a lost one, ended; its commands are refused from here on.
    SessionEnded {
        /// The life that is over.
        incarnation: Incarnation,
    },
    /// A variable was set.
    VariablePut {
        /// Which.
        name: VariableName,
        /// Its new value.
        value: Bytes,
        /// Its new revision.
        revision: u64,
    },
    /// A variable was removed.
    VariableDeleted {
        /// Which.
        name: VariableName,
    },
    /// A setting was changed.
    SettingChanged(Setting),
    /// Something happened to a request.
    Workflow(WorkflowEvent),
    /// Something happened to LRPs, cells or domains.
    Lrp(LrpEvent),
    /// Something happened to a task.
    Task(TaskEvent),
    /// The oldest public events are kept no more.
    HistoryTrimmed {
        /// The number of the first that is.
        below: u64,
    },
    /// Request specs were pushed, or older ones made current again.
    SpecsPushed {
        /// The new version.
        version: Arc<VersionRecord>,
        /// The texts of its files that were not kept before.
        texts: Vec<(TextHash, Arc<str>)>,
    },
    /// A version of the request specs is kept no more.
    SpecsDropped {
        /// Which.
        number: VersionNumber,
    },
}
