//! Starts one node's share of the cluster: opens its data, starts Raft and the tasks around it.

use std::{io, sync::Arc, time::Duration};

use capstan_model::ids::{ClusterId, DiskId, Incarnation, NodeId};
use tokio::sync::watch;

use crate::{
    dispatcher::Dispatcher,
    engine::Disk,
    founding::{self, Founding},
    handle::ClusterHandle,
    heartbeat::{Heartbeats, Reporter},
    incoming_snapshot::IncomingSnapshot,
    leadership,
    network::Network,
    outbox::Outbox,
    peer::{ForwardError, Heartbeat, NodeFacts, PeerService, Transport},
    ports::{Clock, Entropy, FatalSink},
    publish::Publisher,
    quorum_loss, raft_config,
    read_index::{ReadIndexer, Rounds},
    self_check,
    sequencer::{Sequencer, Writer},
    service::Service,
    snapshot_trigger,
    stamp::Stamper,
    storage::{self, Opened, Opening, Store},
    tasks::Tasks,
    timing::{Timing, TimingError},
    type_config::Raft,
};

pub use crate::storage::OpenError;

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

impl StartError {
    /// Whether the disk had too little room for the data to be opened.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Open(OpenError::Disk { source, .. }) if source.kind() == io::ErrorKind::StorageFull)
    }
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
    /// Whom this node takes for the leader.
    pub(crate) leader: watch::Receiver<Option<NodeId>>,
    pub(crate) store: Store,
    pub(crate) tasks: Tasks,
    /// How old a quorum's acknowledgement may be while this node acknowledges heartbeats.
    pub(crate) ack_age_max: Duration,
}

/// Opens the data, starts Raft and every task around it. The node is admitted only once [`ClusterHandle::begin_reports`] is called.
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
    let raft = Raft::new(
        options.node.0,
        raft_config::make(&options.timing).map_err(StartError::Raft)?,
        network,
        log,
        machine,
    )
    .await
    .map_err(|fatal| StartError::Raft(fatal.to_string()))?;
    let (leadership_tx, leadership) = watch::channel(None);
    let (leader_tx, leader) = watch::channel(None);
    let told = leadership::Told { leadership: leadership_tx, leader: leader_tx };
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
        leader,
        store,
        tasks: Tasks::new(Arc::clone(&parts.fatal)),
        ack_age_max: options.timing.ack_age_max,
    });
    let handle = ClusterHandle { shared: Arc::clone(&shared) };
    start_tasks(&options, &parts, &shared, told);
    Ok(Started { handle, peers: Arc::new(Service { shared }) })
}

fn start_tasks(options: &Options, parts: &Parts, shared: &Arc<Shared>, told: leadership::Told) {
    let transport = || Arc::clone(&parts.transport);
    let raft = || shared.raft.clone();
    let tasks = &shared.tasks;
    tasks.spawn("leadership", leadership::follow(raft(), told, Arc::clone(&shared.heartbeats)));
    tasks.spawn("quorum", quorum_loss::step_down(raft(), options.timing.clone()));
    let writer = Writer {
        raft: raft(),
        leadership: shared.leadership.clone(),
        publisher: Arc::clone(&shared.publisher),
        heartbeats: Arc::clone(&shared.heartbeats),
        stamper: Stamper::new(Arc::clone(&parts.clock)),
    };
    tasks.spawn("sequencer", Arc::clone(&shared.sequencer).run(writer));
    let dispatcher = Dispatcher {
        outbox: Arc::clone(&shared.outbox),
        sequencer: Arc::clone(&shared.sequencer),
        leader: shared.leader.clone(),
        node: options.node,
        transport: transport(),
    };
    tasks.spawn("dispatcher", dispatcher.run());
    let rounds =
        Rounds { raft: raft(), leader: shared.leader.clone(), node: options.node, transport: transport() };
    tasks.spawn("reads", Arc::clone(&shared.reads).run(rounds));
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
            disk_nearly_full: describing.sequencer.disk_nearly_full(),
            specs: describing.heartbeats.announced_specs(),
        }),
        acknowledge: Box::new(move |heartbeat| acknowledging.acknowledge(heartbeat)),
    };
    tasks.spawn("heartbeats", reporter.run());
    let trigger = snapshot_trigger::run(raft(), shared.store.clone(), options.timing.clone());
    tasks.spawn("snapshots", trigger);
    tasks.spawn("disk", self_check::watch_disk(Arc::clone(shared)));
    tasks.spawn("clock", self_check::watch_clock(Arc::clone(shared)));
    tasks.spawn("raft", self_check::watch_raft(Arc::clone(shared), Arc::clone(&parts.fatal)));
    tasks.spawn("identity", founding::remember_cluster(Arc::clone(shared), Arc::clone(&parts.fatal)));
    let founding = Founding {
        node: options.node,
        voters: options.voters.clone(),
        raft: raft(),
        transport: transport(),
        entropy: Arc::clone(&parts.entropy),
        handle: ClusterHandle { shared: Arc::clone(shared) },
    };
    tasks.spawn("founding", founding.run());
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
}
