//! Calls about a node: what it knows of its cluster, whether it is alive, whether it is ready.

use http::Method;

use super::{
    Client, ReadOptions,
    call::{Asks, Call, Repeat},
    error::CallError,
    segment,
};
use crate::cluster::{CellDetail, CellStatus, ClusterStatus, LrpExplanation, NodeDrain};

/// Whether a node would serve now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// It has a leader, has caught up, and nothing is wrong with it.
    pub ready: bool,
    /// What the node said, such as why it is not ready.
    pub detail: String,
}

impl Client {
    /// Asks the first node that answers what it knows of the cluster. To ask one node, make a client of its address.
    pub async fn cluster_status(&self) -> Result<ClusterStatus, CallError> {
        self.call(&Call::read("/cluster/v1/status".to_owned(), ReadOptions::default())).await?.json()
    }

    /// Has a node take no new work and hand over what it has, or ends that. Returns when it is committed, not when it is done:
    /// [`crate::cluster::NodeStatus::requests`] tells. An unknown node is a refusal with status 404.
    pub async fn drain_node(&self, node: u64, draining: bool) -> Result<NodeDrain, CallError> {
        let verb = if draining { "drain" } else { "undrain" };
        let path = format!("/cluster/v1/nodes/{node}/{verb}");
        self.call(&Call::new(Method::POST, path, Repeat::Harmless)).await?.json()
    }

    /// Lists all cells with what of them is taken, by node.
    pub async fn cell_statuses(&self) -> Result<Vec<CellStatus>, CallError> {
        self.read_json("/cluster/v1/cells".to_owned(), Vec::new(), ReadOptions::default()).await
    }

    /// Reads one cell and what it was given; an unknown one is a refusal with status 404.
    pub async fn cell(&self, id: &str) -> Result<CellDetail, CallError> {
        let path = format!("/cluster/v1/cells/{}", segment(id)?);
        self.read_json(path, Vec::new(), ReadOptions::default()).await
    }

    /// Asks why the instances of an LRP are where they are; an unknown one is a refusal with status 404.
    pub async fn explain_lrp(&self, guid: &str) -> Result<LrpExplanation, CallError> {
        let path = format!("/cluster/v1/lrps/{}/explain", segment(guid)?);
        self.read_json(path, Vec::new(), ReadOptions::default()).await
    }

    /// Asks the first node that answers whether it is alive; answers at all only when one is.
    pub async fn health(&self) -> Result<(), CallError> {
        self.call(&Call::read("/health".to_owned(), ReadOptions::default())).await.map(drop)
    }

    /// Asks the first node that answers whether it is ready.
    pub async fn ready(&self) -> Result<Ready, CallError> {
        let mut call = Call::new(Method::GET, "/ready".to_owned(), Repeat::Harmless);
        call.asks = Asks::TheNode;
        let answer = self.call(&call).await?;
        Ok(Ready { ready: answer.status.is_success(), detail: answer.message().0 })
    }
}
