//! Starts one node's share of the cluster: opens its data, starts Raft and the tasks around it.

use std::{sync::Arc, time::Duration};

use capstan_model::{
    cluster::CLUSTER_VERSION,
    ids::{ClusterId, DiskId, Incarnation, NodeId},
};
use openraft::{Config, Instant as _, ServerState, SnapshotPolicy, async_runtime::WatchReceiver};
use tokio::sync::watch;

use crate::{
    dispatcher::Dispatcher,
    engine::Disk,
    founding::Founding,
    handle::ClusterHandle,
    heartbeat::{Heartbeats, Reporter},
    incoming_snapshot::IncomingSnapshot,
    network::Network,
    outbox::Outbox,
    peer::{ForwardError, Heartbeat, HeartbeatReply, NodeFacts, PeerIdentity, PeerService, Transport},
    ports::{Clock, Entropy, FatalSink},
    publish::Publisher,
    read_index::{ReadIndexer, Rounds},
    runtime,
    sequencer::{Sequencer, Writer},
    service::Service,
    snapshot_trigger,
    stamp::Stamper,
    status::{RaftStatus, Readiness, Role},
    storage::{self, Opened, Opening, Store},
    timing::{Timing, TimingError},
    type_config::Raft,
};

pub use crate::storage::OpenError;

/// How often free disk space is looked at.
const DISK_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many applied-but-behind entries still count as caught up.
const CAUGHT_UP_WITHIN: u64 = 1_000;

/// What is real or simulated about a node.
pub struct Parts {
    /// Its clocks.
    pub clock: Arc<dyn Clock>,
    /// Its randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Its data directory.
    pub disk: Arc<dyn Disk>,
    /// Its way to other nodes.
    pub transport: Arc<dyn Transport>,
    /// Told when it must stop.
    pub fatal: Arc<dyn FatalSink>,
}

/// What is configured about a node.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its id.
    pub node: NodeId,
    /// The voters of the first membership, itself among them.
    pub voters: Vec<NodeId>,
    /// What it offers and where it is reached.
    pub facts: NodeFacts,
    /// Its periods.
    pub timing: Timing,
}

/// A started node.
pub struct Started {
    /// The door for everything above.
    pub handle: ClusterHandle,
    /// The door for other nodes.
    pub peers: Arc<dyn PeerService>,
}

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The periods contradict each other.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The data directory cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Raft did not start.
    #[error("raft did not start: {0}")]
    Raft(String),
}

/// What the tasks, the handle and the service of one node share.
pub(crate) struct Shared {
    pub(crate) incarnation: Incarnation,
    pub(crate) disk: DiskId,
    pub(crate) voters: Vec<NodeId>,
    pub(crate) raft: Raft,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) sequencer: Arc<Sequencer>,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) reads: Arc<ReadIndexer>,
    pub(crate) heartbeats: Arc<Heartbeats>,
    pub(crate) incoming: IncomingSnapshot,
    pub(crate) leadership: watch::Receiver<Option<u64>>,
    store: Store,
    ack_age_max: Duration,
}

/// Opens the data, starts Raft and every task around it.
///
/// # Errors
/// See [`StartError`]. Nothing was said to any peer.
pub async fn start(options: Options, parts: Parts) -> Result<Started, StartError> {
    options.timing.check()?;
    let opening = Opening {
        node: options.node,
        new_disk: DiskId(parts.entropy.u128()),
        fatal: Arc::clone(&parts.fatal),
    };
    let Opened { log, mut machine, store } = storage::open(Arc::clone(&parts.disk), opening).await?;
    let identity = store.identity().get();
    let incarnation = Incarnation { node: options.node, boot: identity.boot, nonce: parts.entropy.u64() };
    let outbox = Arc::new(Outbox::new(incarnation));
    let publisher = Arc::new(Publisher::new(machine.view(), Arc::clone(&outbox)));
    machine.publish_to(Arc::clone(&publisher) as Arc<_>);
    let network = Network { transport: Arc::clone(&parts.transport), timing: options.timing.clone() };
    let raft = Raft::new(options.node.0, raft_config(&options.timing)?, network, log, machine)
        .await
        .map_err(|fatal| StartError::Raft(fatal.to_string()))?;
    let (leadership_tx, leadership) = watch::channel(None);
    let shared = Arc::new(Shared {
        incarnation,
        disk: identity.disk,
        voters: options.voters.clone(),
        raft: raft.clone(),
        outbox,
        sequencer: Arc::new(Sequencer::new()),
        publisher,
        reads: Arc::new(ReadIndexer::new()),
        heartbeats: Arc::new(Heartbeats::new(
            Arc::clone(&parts.clock),
            options.timing.clone(),
            options.voters.clone(),
        )),
        incoming: IncomingSnapshot::new(store.clone()),
        leadership,
        store,
        ack_age_max: options.timing.ack_age_max,
    });
    let handle = ClusterHandle { shared: Arc::clone(&shared) };
    start_tasks(&options, &parts, &shared, leadership_tx);
    Ok(Started { handle, peers: Arc::new(Service { shared }) })
}

fn start_tasks(
    options: &Options,
    parts: &Parts,
    shared: &Arc<Shared>,
    leadership: watch::Sender<Option<u64>>,
) {
    let transport = || Arc::clone(&parts.transport);
    let raft = || shared.raft.clone();
    runtime::spawn(follow_leadership(raft(), leadership, Arc::clone(&shared.heartbeats)));
    runtime::spawn(Arc::clone(&shared.sequencer).run(Writer {
        raft: raft(),
        leadership: shared.leadership.clone(),
        publisher: Arc::clone(&shared.publisher),
        heartbeats: Arc::clone(&shared.heartbeats),
        stamper: Stamper::new(Arc::clone(&parts.clock)),
    }));
    let dispatcher = Dispatcher {
        outbox: Arc::clone(&shared.outbox),
        sequencer: Arc::clone(&shared.sequencer),
        raft: raft(),
        node: options.node,
        transport: transport(),
    };
    runtime::spawn(dispatcher.run());
    let rounds = Rounds { raft: raft(), node: options.node, transport: transport() };
    runtime::spawn(Arc::clone(&shared.reads).run(rounds));
    let (describing, acknowledging) = (Arc::clone(shared), Arc::clone(shared));
    let facts = options.facts.clone();
    let reporter = Reporter {
        heartbeats: Arc::clone(&shared.heartbeats),
        raft: raft(),
        node: options.node,
        transport: transport(),
        describe: Box::new(move |wall| Heartbeat {
            incarnation: describing.incarnation,
            disk: describing.disk,
            facts: facts.clone(),
            wall,
            checksum: describing.store.checksums().last().copied(),
            applied: describing.publisher.view().index(),
        }),
        acknowledge: Box::new(move |heartbeat| acknowledging.acknowledge(heartbeat)),
    };
    runtime::spawn(reporter.run());
    runtime::spawn(snapshot_trigger::run(raft(), shared.store.clone(), options.timing.clone()));
    runtime::spawn(watch_disk(Arc::clone(shared)));
    runtime::spawn(remember_cluster(Arc::clone(shared), Arc::clone(&parts.fatal)));
    runtime::spawn(watch_health(Arc::clone(shared), Arc::clone(&parts.fatal)));
    let founding = Founding {
        node: options.node,
        voters: options.voters.clone(),
        raft: raft(),
        transport: transport(),
        entropy: Arc::clone(&parts.entropy),
        handle: ClusterHandle { shared: Arc::clone(shared) },
    };
    runtime::spawn(founding.run());
}

/// openraft's settings. What differs from its defaults has its reason here.
fn raft_config(timing: &Timing) -> Result<Arc<Config>, StartError> {
    let millis = |duration: Duration| duration.as_millis() as u64;
    let config = Config {
        cluster_name: "capstan".into(),
        heartbeat_interval: millis(timing.raft_heartbeat),
        election_timeout_min: millis(timing.election_min),
        election_timeout_max: millis(timing.election_max),
        // A node that was cut off must not depose a healthy leader when it returns.
        enable_pre_vote: Some(true),
        // Heals elections that deadlock under a bridge partition.
        quorum_loss_probe_interval: Some((millis(timing.election_max) * 5 / 2).max(1)),
        // The default lets a restarted leader resume its term without a vote, and so use a log id a second time when a
        // power cut took its unsynced tail.
        enable_leader_restore: Some(mutant!("leader-restored")),
        // Entries are batches; `snapshot_trigger` counts bytes.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: 256,
        purge_batch_size: 64,
        max_payload_entries: 64,
        install_snapshot_timeout: millis(timing.snapshot_step),
        backoff: "50ms".into(),
        ..Config::default()
    };
    config.validate().map(Arc::new).map_err(|error| StartError::Raft(error.to_string()))
}

/// Tells who waits for it when this node leads and has applied its own first entry.
async fn follow_leadership(raft: Raft, leadership: watch::Sender<Option<u64>>, heartbeats: Arc<Heartbeats>) {
    let mut metrics = raft.metrics();
    loop {
        let term = {
            let now = metrics.borrow_and_update();
            let applied_own =
                now.last_applied.is_some_and(|id| id.committed_leader_id().term == now.current_term);
            (now.state == ServerState::Leader && applied_own).then_some(now.current_term)
        };
        if let Some(term) = term {
            heartbeats.start_term(term);
        }
        leadership.send_if_modified(|led| std::mem::replace(led, term) != term);
        if metrics.changed().await.is_err() {
            leadership.send_replace(None);
            return;
        }
    }
}

/// Refuses clients and hands leadership away while the disk is nearly full.
async fn watch_disk(shared: Arc<Shared>) {
    loop {
        match shared.store.space() {
            Ok(space) => {
                let nearly_full = space.is_low();
                if nearly_full != shared.sequencer.disk_nearly_full() {
                    tracing::warn!(nearly_full, ?space, "free disk space crossed the reserve");
                }
                shared.sequencer.set_disk_nearly_full(nearly_full);
                if nearly_full {
                    shared.hand_over().await;
                }
            }
            Err(error) => tracing::warn!(%error, "free disk space is unknown"),
        }
        tokio::time::sleep(DISK_LOOK_EVERY).await;
    }
}

/// Hands leadership away when this node's clock is not sane, and stops the node when Raft has died.
async fn watch_health(shared: Arc<Shared>, fatal: Arc<dyn FatalSink>) {
    let mut metrics = shared.raft.metrics();
    let mut look = tokio::time::interval(DISK_LOOK_EVERY);
    loop {
        tokio::select! {
            changed = metrics.changed() => {
                if changed.is_err() {
                    if !shared.outbox.is_closed() {
                        fatal.fatal("raft has stopped without being told to");
                    }
                    return;
                }
                let died = metrics.borrow_and_update().running_state.as_ref().err().cloned();
                match died {
                    Some(openraft::errors::Fatal::Stopped) => return,
                    Some(error) => return fatal.fatal(&format!("raft has stopped: {error}")),
                    None => {}
                }
            }
            _ = look.tick() => {
                if !shared.heartbeats.clock_sane() {
                    shared.hand_over().await;
                }
            }
        }
    }
}

/// Writes the cluster's id into the data directory once it is known.
async fn remember_cluster(shared: Arc<Shared>, fatal: Arc<dyn FatalSink>) {
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

impl Shared {
    /// Whether this node takes itself for the leader.
    pub(crate) fn leads(&self) -> bool {
        self.leadership.borrow().is_some()
    }

    pub(crate) async fn not_leader(&self) -> ForwardError {
        let leader =
            self.raft.current_leader().await.map(NodeId).filter(|leader| *leader != self.incarnation.node);
        ForwardError::NotLeader { leader }
    }

    pub(crate) fn cluster_id(&self) -> Option<ClusterId> {
        self.store
            .identity()
            .get()
            .cluster
            .or_else(|| self.publisher.view().state().cluster.map(|cluster| cluster.id))
    }

    pub(crate) fn peer_identity(&self) -> PeerIdentity {
        PeerIdentity {
            cluster: self.cluster_id(),
            node: self.incarnation.node,
            disk: self.disk,
            incarnation: self.incarnation,
            cluster_version: CLUSTER_VERSION,
        }
    }

    /// Whether this node's directory holds no cluster's data.
    pub(crate) async fn is_empty(&self) -> bool {
        self.cluster_id().is_none() && !self.raft.is_initialized().await.unwrap_or(true)
    }

    /// Refuses a known node id with another disk: a wiped voter that came back under its id could vote data away.
    pub(crate) fn check_disk(&self, node: NodeId, disk: DiskId) -> Result<(), String> {
        match self.publisher.view().state().nodes.get(&node).map(|record| record.disk) {
            Some(recorded) if recorded != disk => Err(format!(
                "node {node} is recorded with disk {recorded}, not {disk}: a wiped or swapped data directory needs a new node id"
            )),
            _ => Ok(()),
        }
    }

    /// Answers a heartbeat, if this node leads and its own quorum has answered lately.
    pub(crate) fn acknowledge(&self, heartbeat: Heartbeat) -> HeartbeatReply {
        let fresh = self.quorum_age().is_some_and(|age| age <= self.ack_age_max);
        if !self.leads() || !fresh {
            let leader = self.raft.metrics().borrow_watched().current_leader.map(NodeId);
            return HeartbeatReply::NotLeader { leader };
        }
        if let Err(reason) = self.check_disk(heartbeat.incarnation.node, heartbeat.disk) {
            return HeartbeatReply::Refused { reason };
        }
        self.heartbeats.hear(heartbeat)
    }

    /// How long ago what a quorum has acknowledged was sent. A sole voter always counts as acknowledged.
    fn quorum_age(&self) -> Option<Duration> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.membership_config.voter_ids().count() == 1 && metrics.state == ServerState::Leader {
            return Some(Duration::ZERO);
        }
        metrics.last_quorum_acked.map(|at| at.elapsed())
    }

    /// Asks the most advanced other voter to lead.
    async fn hand_over(&self) {
        let successor = {
            let metrics = self.raft.metrics();
            let metrics = metrics.borrow_watched();
            if metrics.state != ServerState::Leader {
                return;
            }
            let matched = |id: &u64| {
                metrics.replication.as_ref().and_then(|progress| progress.get(id).copied().flatten())
            };
            metrics
                .membership_config
                .voter_ids()
                .filter(|id| *id != self.incarnation.node.0)
                .max_by_key(matched)
        };
        if let Some(successor) = successor {
            tracing::warn!(successor, "handing leadership away");
            if let Err(error) = self.raft.trigger().transfer_leader(successor).await {
                tracing::debug!(%error, "leadership was not handed away");
            }
        }
    }

    pub(crate) fn status(&self) -> RaftStatus {
        let quorum_acked_ms = self.quorum_age().map(|age| age.as_millis() as u64);
        let view = self.publisher.view();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: Option<u64>| id.unwrap_or(0);
        let membership = metrics.membership_config.membership();
        RaftStatus {
            node_id: self.incarnation.node,
            cluster_id: self.cluster_id(),
            leader_id: metrics.current_leader.map(NodeId),
            term: metrics.current_term,
            role: match metrics.state {
                ServerState::Learner => Role::Learner,
                ServerState::Follower => Role::Follower,
                ServerState::Candidate => Role::Candidate,
                ServerState::Leader => Role::Leader,
                ServerState::Shutdown => Role::Stopped,
            },
            last_log: index(metrics.last_log_index),
            committed: index(metrics.local_committed.map(|id| id.index)),
            applied: view.index(),
            snapshot: index(metrics.snapshot.map(|id| id.index)),
            purged: index(metrics.purged.map(|id| id.index)),
            voters: membership.voter_ids().map(NodeId).collect(),
            learners: membership.learner_ids().map(NodeId).collect(),
            quorum_acked_ms: quorum_acked_ms.filter(|_| metrics.state == ServerState::Leader),
            clock_skew_ms: self.heartbeats.verdict().skew_ms,
            checksum: self.store.checksums().last().copied(),
            bugs: self.publisher.bugs(),
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let status = self.status();
        let view = self.publisher.view();
        Readiness {
            has_leader: status.leader_id.is_some(),
            caught_up: status.applied + CAUGHT_UP_WITHIN >= status.committed,
            joined: view.state().sessions.of(self.incarnation).is_some(),
            clock_sane: self.heartbeats.clock_sane(),
            disk_ok: !self.sequencer.disk_nearly_full(),
            state_agrees: !self.heartbeats.verdict().diverged,
            free_of_bugs: status.bugs == 0,
        }
    }
}
