//! What the HTTP surface needs from the node, as traits it is handed.

use std::sync::Arc;

use capstan_model::{
    ids::{NodeId, RequestId},
    spec::Specs,
    workflow::graph::{CreateCall, Created},
};
use capstan_raft_store::peer::{OutputPage, ReadOutput, TryStatus};
use futures::future::BoxFuture;

/// Gives the request specs of this node's own, which are in use as long as the cluster has none.
pub trait Workflows: Send + Sync + 'static {
    /// The specs; cheap, called for every new request.
    fn specs(&self) -> Arc<Specs>;
}

/// Creates jobs: asks each job type what it will need to run.
pub trait JobTypes: Send + Sync + 'static {
    /// Serves the calls side by side, at most 32 at a time, and answers each of them, in any order. The caller bounds the time of
    /// all calls for one request by dropping the future.
    fn create(&self, calls: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>>;
}

/// Asks what runs what it is doing.
pub trait LiveStatus: Send + Sync + 'static {
    /// What the running tries on `owners` say of themselves, of one request or of all. As many as answer in about a second; those
    /// that say nothing are left out.
    fn statuses(&self, owners: Vec<NodeId>, request: Option<RequestId>)
    -> BoxFuture<'static, Vec<TryStatus>>;
}

/// Reads what the instances of LRPs write, on whichever node.
pub trait InstanceOutput: Send + Sync + 'static {
    /// Reads some lines from the files of `node`. Another node is asked once and answers from its own files, so that no call goes round in
    /// circles.
    fn read(&self, node: NodeId, asked: ReadOutput) -> BoxFuture<'static, Result<OutputPage, OutputError>>;
}

/// Why output was not read.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The node that has it does not answer.
    #[error("the output is on node {node}, which does not answer: {reason}")]
    Unreachable {
        /// Which.
        node: NodeId,
        /// What happened.
        reason: String,
    },
    /// Its files cannot be read.
    #[error("the output on node {node} cannot be read: {reason}")]
    Unreadable {
        /// Which.
        node: NodeId,
        /// What happened.
        reason: String,
    },
}

/// Tells how the node is.
pub trait NodeHealth: Send + Sync + 'static {
    /// Why this node should get no calls just now, one sentence each, without a full stop; empty when it is ready.
    fn not_ready(&self) -> Vec<String>;

    /// What an operator should look at although calls can be served, one sentence each.
    fn alarms(&self) -> Vec<String>;

    /// Whether the node is draining or shutting down, so that it takes no new request.
    fn draining(&self) -> bool;
}

/// Renders the node's metrics in the Prometheus text format.
pub trait MetricsPage: Send + Sync + 'static {
    /// The page as it is now.
    fn render(&self) -> String;
}
