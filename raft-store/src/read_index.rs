//! Read indexes: one quorum round confirms all reads that wait when it starts.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use capstan_model::{buggify, ids::NodeId, sometimes};
use openraft::raft::ReadPolicy;
use tokio::sync::{Notify, oneshot, watch};

use crate::{
    handle::ReadError,
    new_leader,
    peer::{Channel, PeerError, PeerReply, PeerRequest, Transport},
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

/// Confirms an index in one round.
pub(crate) trait Confirm: Send + Sync {
    /// Asks for an index that a quorum confirms after this call, and says why there is none.
    fn confirm(&self) -> impl Future<Output = Result<u64, String>> + Send;
}

/// The rounds of a real node: at the leader, whoever that is.
pub(crate) struct Rounds {
    pub(crate) raft: Raft,
    /// Whom this node takes for the leader.
    pub(crate) leader: watch::Receiver<Option<NodeId>>,
    pub(crate) node: NodeId,
    pub(crate) transport: Arc<dyn Transport>,
}

impl ReadIndexer {
    pub(crate) fn new() -> Self {
        Self { waiting: Mutex::default(), ready: Notify::new() }
    }

    /// Waits for an index that a quorum confirmed after this call.
    pub(crate) async fn confirm(&self, patience: Duration) -> Result<u64, ReadError> {
        if capstan_model::mutant!("read-index-skipped") {
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
    pub(crate) async fn run(self: Arc<Self>, rounds: impl Confirm) {
        loop {
            self.ready.notified().await;
            if buggify!("buggify: a read round begins late") {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            let mut batch = std::mem::take(&mut *self.waiting.lock().expect("no holder of this lock panics"));
            if batch.len() > 1 && buggify!("buggify: a read has a round to itself") {
                let later = batch.split_off(1);
                self.waiting.lock().expect("no holder of this lock panics").splice(0..0, later);
                self.ready.notify_one();
            }
            while !batch.is_empty() {
                match rounds.confirm().await {
                    Ok(index) => {
                        if capstan_model::mutant!("late-read-joins-round") {
                            let mut waiting = self.waiting.lock().expect("no holder of this lock panics");
                            batch.append(&mut waiting);
                        }
                        for read in batch.drain(..) {
                            // A reader that gave up needs no answer.
                            let _ = read.send(index);
                        }
                    }
                    Err(reason) => {
                        sometimes!("a read round fails");
                        tracing::debug!(%reason, "no read index");
                        tokio::time::sleep(RETRY_PAUSE).await;
                        batch.retain(|read| !read.is_closed());
                    }
                }
            }
        }
    }
}

impl Confirm for Rounds {
    async fn confirm(&self) -> Result<u64, String> {
        let leader = (*self.leader.borrow()).ok_or("no leader is known")?;
        if leader == self.node {
            return self.confirm_here().await;
        }
        let call = self.transport.call(leader, Channel::Forward, PeerRequest::ReadIndex, ROUND_PATIENCE);
        let answer = tokio::select! {
            biased;
            answer = call => answer,
            () = new_leader::other_than(self.leader.clone(), leader) => {
                return Err("another node leads by now".to_owned());
            }
        };
        match answer {
            Ok(PeerReply::ReadIndex(Ok(index))) => Ok(index),
            Ok(PeerReply::ReadIndex(Err(error))) => Err(error.to_string()),
            Ok(other) => Err(format!("unexpected answer {other:?}")),
            Err(error @ (PeerError::Unreachable { .. } | PeerError::NoAnswer { .. })) => {
                Err(error.to_string())
            }
        }
    }
}

impl Rounds {
    /// Confirms an index on this node, if it leads.
    async fn confirm_here(&self) -> Result<u64, String> {
        let round = self.raft.get_read_linearizer(ReadPolicy::ReadIndex);
        match tokio::time::timeout(ROUND_PATIENCE, round).await {
            Ok(Ok(linearizer)) => Ok(linearizer.read_log_id().index()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err("the read round took too long".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::mpsc, task::JoinHandle};

    use super::*;

    type Answer = oneshot::Sender<Result<u64, String>>;

    /// Rounds that a test ends by hand.
    struct ByHand(mpsc::UnboundedSender<Answer>);

    impl Confirm for ByHand {
        async fn confirm(&self) -> Result<u64, String> {
            let (answer, round) = oneshot::channel();
            self.0.send(answer).expect("the test sees every round");
            round.await.expect("the test ends every round")
        }
    }

    fn indexer() -> (Arc<ReadIndexer>, mpsc::UnboundedReceiver<Answer>) {
        let (rounds, begun) = mpsc::unbounded_channel();
        let reads = Arc::new(ReadIndexer::new());
        tokio::spawn(Arc::clone(&reads).run(ByHand(rounds)));
        (reads, begun)
    }

    async fn read(reads: &Arc<ReadIndexer>, patience: Duration) -> JoinHandle<Result<u64, ReadError>> {
        let reads = Arc::clone(reads);
        let reading = tokio::spawn(async move { reads.confirm(patience).await });
        tokio::task::yield_now().await;
        reading
    }

    const PATIENCE: Duration = Duration::from_secs(4);

    #[tokio::test(start_paused = true)]
    async fn a_read_that_comes_during_a_round_waits_for_the_next() {
        let (reads, mut begun) = indexer();
        let first = read(&reads, PATIENCE).await;
        let round = begun.recv().await.unwrap();
        let late = [read(&reads, PATIENCE).await, read(&reads, PATIENCE).await];
        round.send(Ok(5)).unwrap();
        assert_eq!(first.await.unwrap(), Ok(5));
        let round = begun.recv().await.unwrap();
        assert!(late.iter().all(|read| !read.is_finished()), "index 5 was confirmed too early for them");
        round.send(Ok(6)).unwrap();
        for read in late {
            assert_eq!(read.await.unwrap(), Ok(6), "both share a round");
        }
        assert!(begun.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_round_that_failed_is_repeated_for_those_who_still_wait() {
        let (reads, mut begun) = indexer();
        let impatient = read(&reads, Duration::from_millis(10)).await;
        let patient = read(&reads, PATIENCE).await;
        begun.recv().await.unwrap().send(Err("no leader".to_owned())).unwrap();
        let again = begun.recv().await.unwrap();
        assert!(matches!(impatient.await.unwrap(), Err(ReadError::NoLeader { .. })));
        again.send(Ok(9)).unwrap();
        assert_eq!(patient.await.unwrap(), Ok(9));
    }

    #[tokio::test(start_paused = true)]
    async fn no_round_is_begun_for_nobody() {
        let (reads, mut begun) = indexer();
        let read = read(&reads, Duration::from_millis(10)).await;
        let round = begun.recv().await.unwrap();
        assert!(read.await.unwrap().is_err());
        round.send(Err("no leader".to_owned())).unwrap();
        tokio::time::sleep(PATIENCE).await;
        assert!(begun.is_empty());
    }
}
