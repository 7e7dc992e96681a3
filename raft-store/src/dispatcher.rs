//! Carries batches from this node's outbox to whoever leads.

use std::{sync::Arc, time::Duration};

use capstan_model::ids::NodeId;
use tokio::sync::Semaphore;

use crate::{
    handle::ProposeError,
    outbox::{BATCHES_IN_FLIGHT, Outbox},
    peer::{Batch, Channel, ForwardError, PeerError, PeerReply, PeerRequest, Transport},
    runtime,
    sequencer::Sequencer,
    type_config::Raft,
};

/// How long a forwarded batch may go unanswered; its commands go out again under the same ids.
const FORWARD_PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait before trying again when nobody took a batch.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Where batches go.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) sequencer: Arc<Sequencer>,
    pub(crate) raft: Raft,
    pub(crate) node: NodeId,
    pub(crate) transport: Arc<dyn Transport>,
}

impl Dispatcher {
    /// Sends batches for as long as the node lives, a few at a time.
    pub(crate) async fn run(self) {
        let permits = Arc::new(Semaphore::new(BATCHES_IN_FLIGHT));
        loop {
            self.outbox.ready.notified().await;
            loop {
                let permit =
                    Arc::clone(&permits).acquire_owned().await.expect("the semaphore is never closed");
                let Some(batch) = self.outbox.take_batch() else { break };
                let dispatcher = self.clone();
                runtime::spawn(async move {
                    dispatcher.deliver(batch).await;
                    drop(permit);
                });
            }
        }
    }

    async fn deliver(&self, mut batch: Batch) {
        match self.send(&batch).await {
            // The replies come from the local apply; nothing is left to do here.
            Ok(_index) => {}
            Err(error) => {
                tracing::debug!(%error, "a batch was not taken");
                match error {
                    ForwardError::QueueFull => {
                        self.outbox.refuse_client(&mut batch, &ProposeError::QueueFull)
                    }
                    ForwardError::DiskNearlyFull => {
                        self.outbox.refuse_client(&mut batch, &ProposeError::DiskNearlyFull);
                    }
                    ForwardError::NotLeader { .. } | ForwardError::Unknown { .. } => {}
                }
                // The permit is held meanwhile, so a cluster without a leader is asked at this pace and no faster.
                tokio::time::sleep(RETRY_PAUSE).await;
                self.outbox.put_back(batch, &error);
            }
        }
    }

    async fn send(&self, batch: &Batch) -> Result<u64, ForwardError> {
        let Some(leader) = self.raft.current_leader().await.map(NodeId) else {
            return Err(ForwardError::NotLeader { leader: None });
        };
        if leader == self.node {
            return self.sequencer.submit(batch.clone()).await;
        }
        let request = PeerRequest::Forward(batch.clone());
        match self.transport.call(leader, Channel::Forward, request, FORWARD_PATIENCE).await {
            Ok(PeerReply::Forwarded(result)) => result,
            Ok(other) => Err(ForwardError::Unknown { reason: format!("unexpected answer {other:?}") }),
            Err(PeerError::Unreachable { .. }) => Err(ForwardError::NotLeader { leader: None }),
            Err(error @ PeerError::NoAnswer { .. }) => {
                Err(ForwardError::Unknown { reason: error.to_string() })
            }
        }
    }
}
