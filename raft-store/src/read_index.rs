//! Read indexes: one quorum round confirms all reads that wait when it starts.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use capstan_model::ids::NodeId;
use openraft::raft::ReadPolicy;
use tokio::sync::{Notify, oneshot};

use crate::{
    handle::ReadError,
    peer::{Channel, ForwardError, PeerError, PeerReply, PeerRequest, Transport},
    type_config::Raft,
};

/// How long one round may take before the reads in it look for a leader again.
const ROUND_PATIENCE: Duration = Duration::from_secs(1);
/// How long to wait before asking again when there is no leader.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Gathers the reads that wait and confirms an index for them, at the leader itself or by asking it.
pub(crate) struct ReadIndexer {
    waiting: Mutex<Vec<oneshot::Sender<u64>>>,
    ready: Notify,
}

/// Where a round is confirmed.
pub(crate) struct Rounds {
    pub(crate) raft: Raft,
    pub(crate) node: NodeId,
    pub(crate) transport: Arc<dyn Transport>,
}

impl ReadIndexer {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::default(), ready: Notify::new() }
    }

    /// Waits for an index that a quorum confirmed after this call.
    pub(crate) async fn confirm(&self, patience: Duration) -> Result<u64, ReadError> {
        if mutant!("read-index-skipped") {
            return Ok(0);
        }
        let (sender, confirmed) = oneshot::channel();
        self.waiting.lock().expect("no holder of this lock panics").push(sender);
        self.ready.notify_one();
        match tokio::time::timeout(patience, confirmed).await {
            Ok(Ok(index)) => Ok(index),
            Ok(Err(_closed)) => Err(ReadError::ShuttingDown),
            Err(_elapsed) => Err(ReadError::NoLeader { waited: patience }),
        }
    }

    /// Runs rounds for as long as the node lives. Reads that arrive during a round wait for the next one.
    pub(crate) async fn run(self: Arc<Self>, rounds: Rounds) {
        loop {
            self.ready.notified().await;
            let mut batch = std::mem::take(&mut *self.waiting.lock().expect("no holder of this lock panics"));
            while !batch.is_empty() {
                match rounds.confirm().await {
                    Ok(index) => {
                        for read in batch.drain(..) {
                            // A reader that gave up needs no answer.
                            let _ = read.send(index);
                        }
                    }
                    Err(reason) => {
                        tracing::debug!(%reason, "no read index");
                        tokio::time::sleep(RETRY_PAUSE).await;
                        batch.retain(|read| !read.is_closed());
                    }
                }
            }
        }
    }
}

impl Rounds {
    /// Confirms an index at whoever leads.
    async fn confirm(&self) -> Result<u64, String> {
        let leader = self.raft.current_leader().await.ok_or("no leader is known")?;
        if leader == self.node.0 {
            return self.confirm_here().await.map_err(|e| e.to_string());
        }
        let call =
            self.transport.call(NodeId(leader), Channel::Forward, PeerRequest::ReadIndex, ROUND_PATIENCE);
        match call.await {
            Ok(PeerReply::ReadIndex(Ok(index))) => Ok(index),
            Ok(PeerReply::ReadIndex(Err(error))) => Err(error.to_string()),
            Ok(other) => Err(format!("unexpected answer {other:?}")),
            Err(error @ (PeerError::Unreachable { .. } | PeerError::NoAnswer { .. })) => {
                Err(error.to_string())
            }
        }
    }

    /// Confirms an index on this node, if it leads.
    pub(crate) async fn confirm_here(&self) -> Result<u64, ForwardError> {
        let round = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match tokio::time::timeout(ROUND_PATIENCE, round).await {
            Ok(Ok(linearizer)) => Ok(linearizer.read_log_id().index()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the read round failed");
                Err(ForwardError::NotLeader { leader: self.raft.current_leader().await.map(NodeId) })
            }
            Err(_elapsed) => Err(ForwardError::Unknown { reason: "the read round took too long".into() }),
        }
    }
}
