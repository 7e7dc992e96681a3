//! The first start of a cluster.
//!
//! The voter with the lowest id draws the cluster's id and initialises Raft, but only once *every* configured voter has
//! answered that its data directory is empty: a voter that lost its disk must not found a second cluster beside the first.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use capstan_model::{
    command::Command,
    ids::{ClusterId, NodeId},
};
use openraft::EmptyNode;

use crate::{
    cluster::Shared,
    handle::{ClusterHandle, ProposeError, ProposeOptions},
    peer::{Channel, PeerReply, PeerRequest, Transport},
    ports::{Entropy, FatalSink},
    type_config::Raft,
};

/// How long a voter may take to answer, and how long to wait before it is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// How often a voter that has not answered is named in the log.
const COMPLAIN_EVERY: u32 = 100;

/// What founding needs.
pub(crate) struct Founding {
    pub(crate) node: NodeId,
    pub(crate) voters: Vec<NodeId>,
    pub(crate) raft: Raft,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) handle: ClusterHandle,
}

/// Writes the cluster's id into the data directory once it is known.
pub(crate) async fn remember_cluster(shared: Arc<Shared>, fatal: Arc<dyn FatalSink>) {
    let mut applied = shared.publisher.watch();
    loop {
        if let Some(cluster) = shared.publisher.view().state().cluster {
            if let Err(error) = shared.store.identity().set_cluster(cluster.id) {
                fatal.fatal(&format!("the cluster's id was not recorded: {error}"));
            }
            return;
        }
        if applied.changed().await.is_err() {
            return;
        }
    }
}

impl Founding {
    /// Founds the cluster if it is this node's part to, and names it if nobody has.
    pub(crate) async fn run(self) {
        let initialized = match self.raft.is_initialized().await {
            Ok(initialized) => initialized,
            Err(error) => return tracing::error!(%error, "raft stopped before the cluster was founded"),
        };
        if self.voters.iter().min() != Some(&self.node) {
            return;
        }
        if !initialized {
            if !self.every_voter_is_empty().await {
                return;
            }
            let members: BTreeMap<u64, EmptyNode> =
                self.voters.iter().map(|voter| (voter.0, EmptyNode::default())).collect();
            if let Err(error) = self.raft.initialize(members).await {
                // Another founder cannot be: only the lowest id founds. A restart between the two steps lands here.
                return tracing::warn!(%error, "raft was not initialised");
            }
        }
        self.name_the_cluster().await;
    }

    /// Asks every other voter until all have said that they are empty; `false` when one holds a cluster's data.
    async fn every_voter_is_empty(&self) -> bool {
        for voter in self.voters.iter().copied().filter(|voter| *voter != self.node) {
            let mut asked = 0_u32;
            loop {
                asked += 1;
                match self
                    .transport
                    .call(voter, Channel::Heartbeat, PeerRequest::IsEmpty, ASK_AGAIN * 5)
                    .await
                {
                    Ok(PeerReply::IsEmpty(true)) => break,
                    Ok(PeerReply::IsEmpty(false)) => {
                        tracing::error!(
                            voter = voter.0,
                            "not founding a cluster: voter {voter} holds the data of one. If this node lost its disk, \
                             give it a new node id; if not, empty the voter's data directory"
                        );
                        return false;
                    }
                    answer => {
                        if asked % COMPLAIN_EVERY == 1 {
                            tracing::info!(
                                voter = voter.0,
                                ?answer,
                                "waiting for a configured voter before founding"
                            );
                        }
                        tokio::time::sleep(ASK_AGAIN).await;
                    }
                }
                if self.raft.is_initialized().await.unwrap_or(true) {
                    return false;
                }
            }
        }
        true
    }

    /// Commits the cluster's id. Only one commit can win; repeats are refused by apply.
    async fn name_the_cluster(&self) {
        let cluster = ClusterId(self.entropy.u128());
        while self.handle.cluster_id().is_none() {
            let command = Command::FoundCluster { cluster };
            match self.handle.propose(command, ProposeOptions::progress()).await {
                Ok(_) | Err(ProposeError::ShuttingDown) => return,
                Err(error) => tracing::debug!(%error, "the cluster's id is not committed yet"),
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}
