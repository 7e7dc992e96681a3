//! Notices that another node leads, so that nobody goes on waiting for an answer of the old leader.
//!
//! A node that was killed closes its connections; one that was stopped, or whose machine lost power, keeps its callers waiting
//! for as long as they are patient, which is longer than an election takes.

use capstan_model::ids::NodeId;
use tokio::sync::watch;

/// Waits until this node takes another than `old` for the leader; for ever once the node has stopped.
pub(crate) async fn other_than(mut leader: watch::Receiver<Option<NodeId>>, old: NodeId) {
    if leader.wait_for(|leader| leader.is_some_and(|leader| leader != old)).await.is_err() {
        std::future::pending::<()>().await;
    }
}
