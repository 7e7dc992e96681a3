//! The leader's side of a write: batches from all nodes become log entries, stamped with log time.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use capstan_model::{
    buggify,
    command::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, Entry, LONE_COMMAND_BYTES, Sealed, Settled},
    failpoint,
    ids::NodeId,
    sometimes,
};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use openraft::{
    errors::ClientWriteError, impls::ProgressResponder, raft::ClientWriteResult,
    type_config::alias::OneshotReceiverOf,
};
use tokio::sync::{Notify, oneshot, watch};

use crate::{
    heartbeat::Heartbeats,
    network::encode,
    peer::{Batch, ForwardError},
    publish::Publisher,
    stamp::Stamper,
    type_config::{EntryData, Raft, TypeConfig},
};

/// How many entries may be on their way to a quorum. While they are, the next one gathers, which is what makes batches
/// grow with the load.
const ENTRIES_IN_FLIGHT: usize = 4;
/// How many client commands may wait at the leader; beyond that it refuses them.
const CLIENT_QUEUE_MAX: usize = 16 * 1024;

type Answer = oneshot::Sender<Result<u64, ForwardError>>;
type Outcome = Result<ClientWriteResult<TypeConfig>, String>;

/// Batches waiting at the leader.
pub(crate) struct Sequencer {
    queue: Mutex<Queue>,
    ready: Notify,
    disk_nearly_full: AtomicBool,
}

#[derive(Default)]
struct Queue {
    batches: VecDeque<(Batch, Answer)>,
    client_commands: usize,
}

/// What turns batches into entries.
pub(crate) struct Writer {
    pub(crate) raft: Raft,
    pub(crate) leadership: watch::Receiver<Option<u64>>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) stamper: Stamper,
}

impl Sequencer {
    pub(crate) fn new() -> Self {
        Self { queue: Mutex::default(), ready: Notify::new(), disk_nearly_full: AtomicBool::new(false) }
    }

    /// Whether clients' commands are refused for want of disk.
    pub(crate) fn set_disk_nearly_full(&self, nearly_full: bool) {
        self.disk_nearly_full.store(nearly_full, Ordering::Relaxed);
    }

    /// Whether this node is short of disk.
    pub(crate) fn disk_nearly_full(&self) -> bool {
        self.disk_nearly_full.load(Ordering::Relaxed)
    }

    /// Takes a batch into the log and waits until it was applied here.
    pub(crate) async fn submit(&self, batch: Batch) -> Result<u64, ForwardError> {
        let (answer, outcome) = oneshot::channel();
        {
            let mut queue = self.queue.lock().expect("no holder of this lock panics");
            if !batch.client.is_empty() {
                if self.disk_nearly_full() {
                    return Err(ForwardError::DiskNearlyFull);
                }
                if queue.client_commands + batch.client.len() > CLIENT_QUEUE_MAX {
                    return Err(ForwardError::QueueFull);
                }
            }
            queue.client_commands += batch.client.len();
            queue.batches.push_back((batch, answer));
        }
        self.ready.notify_one();
        outcome.await.unwrap_or_else(|_| Err(ForwardError::Unknown { reason: "the node is stopping".into() }))
    }

    /// Turns waiting batches into entries for as long as the node lives.
    pub(crate) async fn run(self: Arc<Self>, mut writer: Writer) {
        let mut in_flight = FuturesUnordered::new();
        loop {
            tokio::select! {
                biased;
                Some((outcome, answers)) = in_flight.next() => {
                    let answer = settle(outcome);
                    for sender in answers {
                        // A forwarding node that gave up needs no answer.
                        let _: Result<_, _> = Answer::send(sender, answer.clone());
                    }
                }
                () = self.ready.notified(), if in_flight.len() < ENTRIES_IN_FLIGHT => {}
            }
            while in_flight.len() < ENTRIES_IN_FLIGHT {
                if !in_flight.is_empty() && buggify!("buggify: entries wait for the one in flight") {
                    break;
                }
                let Some((entry, answers)) = self.gather() else { break };
                match writer.write(entry).await {
                    Ok(outcome) => {
                        in_flight.push(outcome.map(|outcome| (outcome, answers)).boxed());
                    }
                    Err(error) => {
                        for sender in answers {
                            let _: Result<_, _> = Answer::send(sender, Err(error.clone()));
                        }
                    }
                }
            }
        }
    }

    /// Merges waiting batches into one entry's commands: every batch's progress first.
    ///
    /// A batch whose bringer has given up is dropped: it goes out again, and while this node is slow or cut off its copies would fill
    /// the queue.
    fn gather(&self) -> Option<(Gathered, Vec<Answer>)> {
        let mut queue = self.queue.lock().expect("no holder of this lock panics");
        let mut gathered = Gathered::default();
        let mut answers = Vec::new();
        while let Some((batch, answer)) = queue.batches.front() {
            let is_wanted = !answer.is_closed();
            if is_wanted && !answers.is_empty() && !gathered.fits(batch) {
                break;
            }
            let (batch, answer) = queue.batches.pop_front().expect("the queue has a front");
            queue.client_commands -= batch.client.len();
            sometimes!("batch given up before it was appended", !is_wanted);
            if is_wanted {
                gathered.add(batch);
                answers.push(answer);
                if buggify!("buggify: one batch makes an entry") {
                    break;
                }
            }
        }
        (!answers.is_empty()).then_some((gathered, answers))
    }
}

/// The commands of one entry to be.
#[derive(Default)]
struct Gathered {
    settled: Vec<Settled>,
    progress: Vec<Sealed>,
    client: Vec<Sealed>,
    bytes: usize,
    /// Holds a command that travels alone.
    is_lone: bool,
}

impl Gathered {
    fn fits(&self, batch: &Batch) -> bool {
        let commands = self.progress.len() + self.client.len() + batch.progress.len() + batch.client.len();
        commands <= BATCH_COMMANDS_MAX
            && self.bytes + bytes_of(batch) <= BATCH_BYTES_MAX
            && !self.is_lone
            && !is_lone(batch)
    }

    fn add(&mut self, batch: Batch) {
        self.bytes += bytes_of(&batch);
        self.is_lone |= is_lone(&batch);
        match self.settled.iter_mut().find(|s| s.incarnation == batch.settled.incarnation) {
            Some(settled) => settled.below = settled.below.max(batch.settled.below),
            None => self.settled.push(batch.settled),
        }
        self.progress.extend(batch.progress);
        self.client.extend(batch.client);
    }
}

fn is_lone(batch: &Batch) -> bool {
    batch.progress.iter().chain(&batch.client).any(|sealed| sealed.bytes.len() > LONE_COMMAND_BYTES)
}

fn bytes_of(batch: &Batch) -> usize {
    batch.progress.iter().chain(&batch.client).map(|sealed| sealed.bytes.len()).sum()
}

impl Writer {
    /// Stamps an entry and hands it to Raft, under the term this node leads.
    async fn write(
        &mut self,
        gathered: Gathered,
    ) -> Result<impl Future<Output = Outcome> + Send + 'static, ForwardError> {
        let not_leader = |leader: Option<u64>| ForwardError::NotLeader { leader: leader.map(NodeId) };
        let Some(term) = *self.leadership.borrow_and_update() else {
            sometimes!("a batch comes to a node that leads no more");
            return Err(not_leader(self.raft.current_leader().await.filter(|id| id != self.raft.node_id())));
        };
        let leader = self.raft.as_leader().map_err(|forward| not_leader(forward.leader_id))?;
        if leader.term() != term {
            return Err(not_leader(None));
        }
        let median = self.heartbeats.median_wall();
        let time = self.stamper.stamp(term, &self.publisher, median).ok_or_else(|| not_leader(None))?;
        let mut commands = gathered.progress;
        commands.extend(gathered.client);
        let entry = Entry::V1 { time, settled: gathered.settled, commands };
        failpoint!("sequencer: entry stamped");
        let (responder, applied) = ProgressResponder::complete_only();
        let write = self
            .raft
            .write(EntryData(encode(&entry)))
            .with_leader(leader.to_committed_leader_id())
            .responder(responder);
        write.await.map_err(|fatal| ForwardError::Unknown { reason: fatal.to_string() })?;
        Ok(outcome(applied))
    }
}

async fn outcome(applied: OneshotReceiverOf<TypeConfig, ClientWriteResult<TypeConfig>>) -> Outcome {
    applied.await.map_err(|_| "raft dropped the entry's responder".to_owned())
}

fn settle(outcome: Outcome) -> Result<u64, ForwardError> {
    match outcome {
        Ok(Ok(response)) => Ok(response.data.0),
        Ok(Err(ClientWriteError::ForwardToLeader(forward))) => {
            sometimes!("leader deposed with a proposal in flight");
            Err(ForwardError::NotLeader { leader: forward.leader_id.map(NodeId) })
        }
        Ok(Err(error)) => Err(ForwardError::Unknown { reason: error.to_string() }),
        Err(_) if capstan_model::mutant!("dropped-entry-taken-for-refused") => {
            Err(ForwardError::NotLeader { leader: None })
        }
        Err(reason) => Err(ForwardError::Unknown { reason }),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use capstan_model::ids::{CommandId, Incarnation};

    use super::*;

    fn batch(node: u64, below: u64, progress: &[usize], client: &[usize]) -> Batch {
        let incarnation = Incarnation { node: NodeId(node), boot: 1, nonce: 9 };
        let sealed = |bytes: &usize| Sealed {
            id: CommandId { incarnation, seq: below },
            bytes: Bytes::from(vec![0; *bytes]),
        };
        Batch {
            settled: Settled { incarnation, below },
            progress: progress.iter().map(sealed).collect(),
            client: client.iter().map(sealed).collect(),
        }
    }

    /// Submits a batch and lets it queue; dropping what is returned gives it up.
    fn submit(
        sequencer: &Arc<Sequencer>,
        batch: Batch,
    ) -> futures::future::BoxFuture<'static, Result<u64, ForwardError>> {
        let sequencer = Arc::clone(sequencer);
        let mut submitting = async move { sequencer.submit(batch).await }.boxed();
        assert!((&mut submitting).now_or_never().is_none(), "it waits");
        submitting
    }

    fn gathered(sequencer: &Sequencer) -> Gathered {
        sequencer.gather().expect("batches wait").0
    }

    #[test]
    fn batches_of_all_nodes_become_one_entry_progress_first() {
        let sequencer = Arc::new(Sequencer::new());
        let _one = submit(&sequencer, batch(1, 5, &[1], &[2]));
        let _two = submit(&sequencer, batch(2, 3, &[3], &[4]));
        let _again = submit(&sequencer, batch(1, 8, &[], &[5]));
        let entry = gathered(&sequencer);
        let sizes = |commands: &[Sealed]| commands.iter().map(|c| c.bytes.len()).collect::<Vec<_>>();
        assert_eq!((sizes(&entry.progress), sizes(&entry.client)), (vec![1, 3], vec![2, 4, 5]));
        let settled: Vec<_> = entry.settled.iter().map(|s| (s.incarnation.node.0, s.below)).collect();
        assert_eq!(settled, [(1, 8), (2, 3)], "one item a sender, the newest it said");
        assert!(sequencer.gather().is_none());
    }

    #[test]
    fn an_entry_keeps_its_bounds() {
        let sequencer = Arc::new(Sequencer::new());
        let kib = 1024;
        let batches: [&[usize]; 6] =
            [&[1; BATCH_COMMANDS_MAX], &[1], &[200 * kib; 5], &[200 * kib], &[LONE_COMMAND_BYTES + 1], &[1]];
        let _kept = batches.map(|sizes| submit(&sequencer, batch(1, 1, &[], sizes)));
        let entries: Vec<usize> =
            std::iter::from_fn(|| sequencer.gather().map(|(e, _)| e.client.len())).collect();
        assert_eq!(entries, [BATCH_COMMANDS_MAX, 6, 1, 1, 1]);
    }

    #[test]
    fn what_its_bringer_gave_up_is_not_appended() {
        let sequencer = Arc::new(Sequencer::new());
        let given_up = submit(&sequencer, batch(1, 1, &[], &[1]));
        let _kept = submit(&sequencer, batch(2, 1, &[], &[2]));
        drop(given_up);
        let entry = gathered(&sequencer);
        assert_eq!(entry.client.len(), 1);
        assert_eq!(entry.settled.len(), 1);
        assert_eq!(sequencer.queue.lock().unwrap().client_commands, 0);
    }

    #[test]
    fn clients_are_refused_where_progress_is_not() {
        let sequencer = Arc::new(Sequencer::new());
        let refused = |batch| sequencer.submit(batch).now_or_never().expect("it is refused at once");
        let _full: Vec<_> = (0..CLIENT_QUEUE_MAX / BATCH_COMMANDS_MAX)
            .map(|_| submit(&sequencer, batch(1, 1, &[], &[1; BATCH_COMMANDS_MAX])))
            .collect();
        assert_eq!(refused(batch(2, 1, &[], &[1])), Err(ForwardError::QueueFull));
        let _progress = submit(&sequencer, batch(2, 1, &[1], &[]));
        sequencer.set_disk_nearly_full(true);
        assert_eq!(refused(batch(2, 1, &[1], &[1])), Err(ForwardError::DiskNearlyFull));
        let _progress = submit(&sequencer, batch(2, 1, &[1], &[]));
    }
}
