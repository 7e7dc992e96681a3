//! Carries batches from this node's outbox to whoever leads.

use std::{sync::Arc, time::Duration};

use capstan_model::{buggify, failpoint, ids::NodeId, sometimes};
use tokio::sync::{Semaphore, watch};

use crate::{
    handle::ProposeError,
    new_leader,
    outbox::{BATCHES_IN_FLIGHT, Outbox},
    peer::{Batch, Channel, ForwardError, PeerError, PeerReply, PeerRequest, Transport},
    runtime,
    sequencer::Sequencer,
};

/// How long a forwarded batch may go unanswered; its commands go out again under the same ids.
pub(crate) const FORWARD_PATIENCE: Duration = Duration::from_secs(2);
/// How long to wait before trying again when nobody took a batch.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Where batches go.
#[derive(Clone)]
pub(crate) struct Dispatcher {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) sequencer: Arc<Sequencer>,
    /// Whom this node takes for the leader.
    pub(crate) leader: watch::Receiver<Option<NodeId>>,
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
                    if buggify!("buggify: a batch leaves late") {
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                    dispatcher.deliver(batch).await;
                    drop(permit);
                });
            }
        }
    }

    async fn deliver(&self, batch: Batch) {
        // The replies come from the local apply; nothing is left to do for what was taken.
        let Err(error) = self.send(&batch).await else {
            if buggify!("buggify: a batch that was taken is sent again") {
                drop(self.send(&batch).await);
            }
            return;
        };
        match error {
            ForwardError::QueueFull => self.without_clients(batch, &error, ProposeError::QueueFull).await,
            ForwardError::DiskNearlyFull => {
                capstan_model::sometimes!("client refused because a disk is nearly full");
                self.without_clients(batch, &error, ProposeError::DiskNearlyFull).await;
            }
            ForwardError::NotLeader { .. } | ForwardError::Unknown { .. } => self.later(batch, &error).await,
        }
    }

    /// Refuses the clients' commands of a batch and sends the others on their own, at once: joined by the next clients they would be
    /// refused with them for as long as there are any.
    async fn without_clients(&self, mut batch: Batch, error: &ForwardError, refusal: ProposeError) {
        let progress = self.outbox.refuse_client(&mut batch, &refusal);
        let progress_sent = async {
            if !progress.progress.is_empty()
                && let Err(error) = self.send(&progress).await
            {
                self.later(progress, &error).await;
            }
        };
        tokio::join!(progress_sent, self.later(batch, error));
    }

    /// Lets a batch that was not taken go out again. The permit is held meanwhile, so a cluster without a leader is asked at this
    /// pace and no faster.
    async fn later(&self, batch: Batch, error: &ForwardError) {
        tracing::debug!(%error, "a batch was not taken");
        self.outbox.came_back(&batch, error);
        let is_late = buggify!("buggify: a batch that came back goes out late");
        tokio::time::sleep(if is_late { RETRY_PAUSE * 10 } else { RETRY_PAUSE }).await;
        self.outbox.put_back(batch);
    }

    async fn send(&self, batch: &Batch) -> Result<u64, ForwardError> {
        failpoint!("dispatcher: batch not sent");
        let Some(leader) = *self.leader.borrow() else {
            return Err(ForwardError::NotLeader { leader: None });
        };
        tokio::select! {
            biased;
            answer = self.send_to(leader, batch.clone()) => answer,
            () = new_leader::other_than(self.leader.clone(), leader) => {
                sometimes!("leader deposed with a forwarded batch in flight");
                Err(ForwardError::Unknown { reason: "another node leads by now".into() })
            }
        }
    }

    async fn send_to(&self, leader: NodeId, batch: Batch) -> Result<u64, ForwardError> {
        if leader == self.node {
            if buggify!("buggify: a leader takes no batch of its own") {
                return Err(ForwardError::NotLeader { leader: None });
            }
            if !batch.client.is_empty() && buggify!("buggify: a leader has no room for its own clients") {
                return Err(ForwardError::QueueFull);
            }
            return self.sequencer.submit(batch).await;
        }
        let request = PeerRequest::Forward(batch);
        match self.transport.call(leader, Channel::Forward, request, FORWARD_PATIENCE).await {
            Ok(PeerReply::Forwarded(result)) => result,
            Ok(other) => Err(ForwardError::Unknown { reason: format!("unexpected answer {other:?}") }),
            Err(PeerError::Unreachable { .. }) => Err(ForwardError::NotLeader { leader: None }),
            Err(error @ PeerError::NoAnswer { .. }) => {
                capstan_model::sometimes!("forwarded batch had no answer");
                Err(ForwardError::Unknown { reason: error.to_string() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, sync::Mutex};

    use capstan_model::{
        command::{Command, Condition},
        ids::{ClusterId, Incarnation},
        reply::{Answer, Reply},
    };
    use futures::future::BoxFuture;

    use super::*;
    use crate::handle::ProposeOptions;

    const ME: Incarnation = Incarnation { node: NodeId(1), boot: 1, nonce: 9 };
    const DONE: Reply = Ok(Answer::Done);

    /// What a scripted node does with a batch.
    #[derive(Debug, Clone)]
    enum Does {
        /// Takes it; then this node has applied all of it.
        Take,
        Refuse(ForwardError),
        /// Takes a batch only if no client's command is in it, as a leader that is short of disk does.
        RefuseClients,
        /// Says nothing.
        Hang,
    }

    /// Other nodes, each with a script whose last line is repeated.
    struct Nodes {
        outbox: Arc<Outbox>,
        scripts: Mutex<Vec<(NodeId, VecDeque<Does>)>>,
        /// Commands of each batch as they arrived: for whom, how many of progress, how many of clients.
        heard: Mutex<Vec<(u64, usize, usize)>>,
    }

    impl Transport for Nodes {
        fn call(
            &self,
            to: NodeId,
            _channel: Channel,
            request: PeerRequest,
            deadline: Duration,
        ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
            let PeerRequest::Forward(batch) = request else { unreachable!("only batches are sent") };
            self.heard.lock().unwrap().push((to.0, batch.progress.len(), batch.client.len()));
            let does = {
                let mut scripts = self.scripts.lock().unwrap();
                let (_, script) = scripts.iter_mut().find(|(node, _)| *node == to).expect("a known node");
                if script.len() > 1 { script.pop_front() } else { script.front().cloned() }
            };
            let outbox = Arc::clone(&self.outbox);
            Box::pin(async move {
                match does.expect("a script has lines") {
                    Does::RefuseClients if !batch.client.is_empty() => {
                        Ok(PeerReply::Forwarded(Err(ForwardError::DiskNearlyFull)))
                    }
                    Does::Take | Does::RefuseClients => {
                        let ids = batch.progress.iter().chain(&batch.client).map(|sealed| sealed.id);
                        outbox.applied(7, ids.map(|id| (id, DONE)).collect());
                        Ok(PeerReply::Forwarded(Ok(7)))
                    }
                    Does::Refuse(error) => Ok(PeerReply::Forwarded(Err(error))),
                    Does::Hang => {
                        tokio::time::sleep(deadline).await;
                        Err(PeerError::NoAnswer { node: to, reason: "silence".to_owned() })
                    }
                }
            })
        }
    }

    struct World {
        nodes: Arc<Nodes>,
        leader: watch::Sender<Option<NodeId>>,
    }

    impl World {
        fn new(scripts: impl IntoIterator<Item = (u64, Vec<Does>)>) -> Self {
            let outbox = Arc::new(Outbox::new(ME));
            let scripts = scripts.into_iter().map(|(node, script)| (NodeId(node), script.into())).collect();
            let nodes = Arc::new(Nodes {
                outbox: Arc::clone(&outbox),
                scripts: Mutex::new(scripts),
                heard: Mutex::default(),
            });
            let (leader, leaders) = watch::channel(Some(NodeId(2)));
            let dispatcher = Dispatcher {
                outbox,
                sequencer: Arc::new(Sequencer::new()),
                leader: leaders,
                node: ME.node,
                transport: Arc::clone(&nodes) as Arc<dyn Transport>,
            };
            tokio::spawn(dispatcher.run());
            Self { nodes, leader }
        }

        async fn put(&self) -> Result<u64, ProposeError> {
            let name = "a".parse().expect("a valid name");
            let put = Command::PutVariable { name, value: "v".into(), condition: Condition::Any };
            let committed = self.nodes.outbox.propose(put, ProposeOptions::client()).await?;
            Ok(committed.index)
        }

        async fn report(&self) -> Result<u64, ProposeError> {
            let report = Command::FoundCluster { cluster: ClusterId(1) };
            let committed = self.nodes.outbox.propose(report, ProposeOptions::progress()).await?;
            Ok(committed.index)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn progress_gets_through_while_clients_are_refused() {
        let world = Arc::new(World::new([(2, vec![Does::RefuseClients])]));
        for _ in 0..8 {
            let world = Arc::clone(&world);
            tokio::spawn(async move { while world.put().await == Err(ProposeError::DiskNearlyFull) {} });
        }
        let start = tokio::time::Instant::now();
        assert_eq!(world.report().await, Ok(7));
        // Back in the queue it would meet the next client, and be refused with it again.
        assert!(start.elapsed() < RETRY_PAUSE, "it was not taken at once");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_that_nobody_took_goes_to_the_next_leader() {
        let world = World::new([
            (2, vec![Does::Refuse(ForwardError::NotLeader { leader: None })]),
            (3, vec![Does::Take]),
        ]);
        let elected = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            world.leader.send_replace(Some(NodeId(3)));
        };
        let (put, ()) = tokio::join!(world.put(), elected);
        assert_eq!(put, Ok(7));
        let asked = world.nodes.heard.lock().unwrap().len();
        assert!((20..30).contains(&asked), "asked every 20 ms and no more often, {asked} times");
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_was_deposed_is_waited_for_no_longer() {
        let world = World::new([(2, vec![Does::Hang]), (3, vec![Does::Take])]);
        let deposed = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            world.leader.send_replace(None);
            tokio::time::sleep(Duration::from_millis(100)).await;
            world.leader.send_replace(Some(NodeId(3)));
        };
        let start = tokio::time::Instant::now();
        let (put, ()) = tokio::join!(world.put(), deposed);
        assert_eq!(put, Ok(7));
        assert!(start.elapsed() < Duration::from_secs(1), "after {:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_leader_nothing_happens_and_that_is_said() {
        let world = World::new([]);
        world.leader.send_replace(None);
        assert!(matches!(world.put().await, Err(ProposeError::NoLeader { .. })));
    }
}
