//! A cluster in one process: real nodes over RocksDB in temporary folders, and links that can be cut.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use capstan_model::{
    command::{Command, Condition, NodeJoined},
    ids::NodeId,
    reply::Answer,
    time::Timestamp,
};
use capstan_raft_store::{
    cluster::{self, Options, Parts, StartError, Started},
    engine::RocksDisk,
    handle::{ClusterHandle, Consistency, ProposeError, ProposeOptions},
    peer::{Channel, NodeFacts, PeerError, PeerReply, PeerRequest, PeerService, Transport},
    ports::{Clock, Entropy, FatalSink},
    timing::Timing,
};
use futures::future::BoxFuture;
use tempfile::TempDir;
use tokio::time::Instant;

/// The largest frame between two nodes, in bytes.
const FRAME_BYTES_MAX: usize = 16 << 20;
/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);

/// The wires between the nodes.
#[derive(Default)]
pub(crate) struct Net {
    services: Mutex<BTreeMap<NodeId, Arc<dyn PeerService>>>,
    /// From whom to whom nothing comes through.
    cut: Mutex<BTreeSet<(NodeId, NodeId)>>,
    /// Who holds the data of a cluster, whatever it says itself; and how often that was told.
    not_empty: Mutex<Option<NodeId>>,
    told_not_empty: AtomicU64,
    /// On which channels nothing comes through.
    muted: Mutex<BTreeSet<Channel>>,
}

impl Net {
    /// Cuts a node off from all others, both ways: calls are swallowed, not refused.
    pub(crate) fn isolate(&self, node: u64) {
        let others = [1, 2, 3].into_iter().filter(|other| *other != node);
        let links = others.flat_map(|other| [(NodeId(node), NodeId(other)), (NodeId(other), NodeId(node))]);
        self.cut.lock().expect("no holder panics").extend(links);
    }

    /// Lets nothing through on a channel, for anybody.
    pub(crate) fn mute(&self, channel: Channel) {
        self.muted.lock().expect("no holder panics").insert(channel);
    }

    /// Has a node answer that its directory is not empty.
    pub(crate) fn claim_data(&self, node: u64) {
        *self.not_empty.lock().expect("no holder panics") = Some(NodeId(node));
    }

    /// How often a node has answered that its directory is not empty.
    pub(crate) fn told_not_empty(&self) -> u64 {
        self.told_not_empty.load(Ordering::Relaxed)
    }

    /// Mends every link.
    pub(crate) fn heal(&self) {
        self.cut.lock().expect("no holder panics").clear();
    }

    fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.cut.lock().expect("no holder panics").contains(&(from, to))
    }

    fn service(&self, node: NodeId) -> Option<Arc<dyn PeerService>> {
        self.services.lock().expect("no holder panics").get(&node).cloned()
    }
}

/// One node's end of the wires.
struct Wire {
    net: Arc<Net>,
    from: NodeId,
}

impl Transport for Wire {
    fn call(
        &self,
        to: NodeId,
        channel: Channel,
        request: PeerRequest,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
        let (net, from) = (Arc::clone(&self.net), self.from);
        Box::pin(async move {
            let unreachable = |reason: String| Err(PeerError::Unreachable { node: to, reason });
            let frame = postcard::to_stdvec(&request).expect("requests are serialisable").len();
            assert!(frame < FRAME_BYTES_MAX, "a frame of {frame} bytes");
            if net.is_cut(from, to) || net.muted.lock().expect("no holder panics").contains(&channel) {
                tokio::time::sleep(deadline).await;
                return Err(PeerError::NoAnswer { node: to, reason: "the link is cut".to_owned() });
            }
            let (Some(here), Some(there)) = (net.service(from), net.service(to)) else {
                return unreachable("it is down".to_owned());
            };
            if let Err(reason) = there.admit(&here.identity()).and_then(|()| here.admit(&there.identity())) {
                return unreachable(reason);
            }
            if request == PeerRequest::IsEmpty && *net.not_empty.lock().expect("no holder panics") == Some(to)
            {
                net.told_not_empty.fetch_add(1, Ordering::Relaxed);
                return Ok(PeerReply::IsEmpty(false));
            }
            let served = tokio::spawn(there.handle(from, request));
            let answer = tokio::time::timeout(deadline, served).await;
            match answer {
                Ok(Ok(reply)) if !net.is_cut(to, from) => Ok(reply),
                _ => Err(PeerError::NoAnswer { node: to, reason: "the answer was lost".to_owned() }),
            }
        })
    }
}

struct TestClock(Instant);

impl Clock for TestClock {
    fn wall(&self) -> Timestamp {
        Timestamp(1_700_000_000_000_000_000).after(self.0.elapsed())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

struct Counted(AtomicU64);

impl Entropy for Counted {
    fn u64(&self) -> u64 {
        self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
    }
}

struct Panics(NodeId);

impl FatalSink for Panics {
    fn fatal(&self, reason: &str) {
        panic!("node {} stops: {reason}", self.0);
    }
}

/// Three nodes, of which any may be down.
pub(crate) struct Cluster {
    pub(crate) net: Arc<Net>,
    folders: BTreeMap<u64, TempDir>,
    up: BTreeMap<u64, (ClusterHandle, tokio::task::JoinHandle<()>)>,
    clock: Arc<TestClock>,
    lives: u64,
}

impl Cluster {
    /// Three folders and no node.
    pub(crate) fn down() -> Self {
        Self {
            net: Arc::default(),
            folders: [1, 2, 3].map(|node| (node, TempDir::new().expect("a folder"))).into(),
            up: BTreeMap::new(),
            clock: Arc::new(TestClock(Instant::now())),
            lives: 0,
        }
    }

    /// Three nodes that have met, all of them admitted.
    pub(crate) async fn start() -> Self {
        let mut cluster = Self::down();
        for node in [1, 2, 3] {
            cluster.up(node).await;
        }
        for node in [1, 2, 3] {
            let handle = cluster.node(node).clone();
            until("every node is ready", || handle.readiness().is_ready()).await;
        }
        cluster
    }

    /// Starts a node on its folder.
    pub(crate) async fn up(&mut self, node: u64) {
        let start = Instant::now();
        let started = loop {
            match self.open(node).await {
                // Its former life has not let go of the folder yet.
                Err(StartError::Open(error)) if start.elapsed() < PATIENCE => {
                    eprintln!("node {node}: {error:?}");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                started => break started.expect("the node starts"),
            }
        };
        started.handle.begin_reports();
        self.net.services.lock().expect("no holder panics").insert(NodeId(node), started.peers);
        let admitting = tokio::spawn(admit(started.handle.clone()));
        self.up.insert(node, (started.handle, admitting));
    }

    async fn open(&mut self, node: u64) -> Result<Started, StartError> {
        self.lives += 1;
        let options = Options {
            node: NodeId(node),
            voters: [1, 2, 3].map(NodeId).to_vec(),
            facts: NodeFacts {
                peer_address: format!("node-{node}:1").into(),
                http_address: format!("node-{node}:2").into(),
                slots: 1,
                job_types: vec![],
            },
            timing: Timing::default(),
        };
        let parts = Parts {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            entropy: Arc::new(Counted(AtomicU64::new(self.lives))),
            disk: Arc::new(RocksDisk::open(self.folders[&node].path()).expect("a folder")),
            transport: Arc::new(Wire { net: Arc::clone(&self.net), from: NodeId(node) }),
            fatal: Arc::new(Panics(NodeId(node))),
        };
        cluster::start(options, parts).await
    }

    /// Stops a node.
    pub(crate) async fn stop(&mut self, node: u64) {
        self.net.services.lock().expect("no holder panics").remove(&NodeId(node));
        let (handle, admitting) = self.up.remove(&node).expect("it is up");
        admitting.abort();
        handle.shutdown().await;
    }

    /// Takes a stopped node's data away.
    pub(crate) fn wipe(&mut self, node: u64) {
        self.folders.insert(node, TempDir::new().expect("a folder"));
    }

    pub(crate) fn node(&self, node: u64) -> &ClusterHandle {
        &self.up[&node].0
    }

    /// The node that leads.
    pub(crate) async fn leader(&self) -> u64 {
        let leads = || self.up.iter().find(|(_, (handle, _))| handle.leadership().borrow().is_some());
        until("a node leads", || leads().is_some()).await;
        *leads().expect("found above").0
    }

    /// How a node's peers know it.
    pub(crate) fn service(&self, node: u64) -> Arc<dyn PeerService> {
        self.net.service(NodeId(node)).expect("it is up")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.up.values().for_each(|(_, admitting)| admitting.abort());
    }
}

/// Does what the liveness actor of a node does: admits whoever reports to it.
async fn admit(handle: ClusterHandle) {
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        for seen in handle.heartbeats() {
            let known = handle.view().state().nodes.get(&seen.incarnation.node).map(|n| n.incarnation);
            if known == Some(seen.incarnation) {
                continue;
            }
            let joined = Command::NodeJoined(NodeJoined {
                incarnation: seen.incarnation,
                disk: seen.disk,
                peer_address: seen.facts.peer_address,
                http_address: seen.facts.http_address,
                slots: seen.facts.slots,
                job_types: seen.facts.job_types,
            });
            // Whoever is not admitted is met again in the next look.
            drop(handle.propose(joined, ProposeOptions::progress()).await);
        }
    }
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn put_command(name: &str, bytes: usize) -> Command {
    let value = Bytes::from(vec![b'v'; bytes]);
    Command::PutVariable { name: name.parse().expect("a valid name"), value, condition: Condition::Any }
}

/// Sets a variable through a node and gives its revision.
pub(crate) async fn put(handle: &ClusterHandle, name: &str, bytes: usize) -> Result<u64, ProposeError> {
    let committed = handle.propose(put_command(name, bytes), ProposeOptions::client()).await?;
    match committed.reply {
        Ok(Answer::VariablePut { revision, .. }) => Ok(revision),
        other => panic!("not set: {other:?}"),
    }
}

/// The revision of a variable as a linearizable read through a node finds it.
pub(crate) async fn revision(handle: &ClusterHandle, name: &str) -> Option<u64> {
    let view = handle.read(Consistency::Linearizable).await.expect("a leader confirms the read");
    view.state().variables.get(&name.parse().expect("a valid name")).map(|variable| variable.revision)
}
