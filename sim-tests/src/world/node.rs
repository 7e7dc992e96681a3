//! One life of a node: the real store and the real API on simulated ground, and the watchers of the oracle.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use capstan_api::{
    Api, Parts as ApiParts,
    ports::{JobTypes, LiveStatus, MetricsPage, NodeHealth, Workflows},
};
use capstan_model::{
    command::{Command, NodeJoined},
    ids::{NodeId, RequestId},
    spec::Specs,
    time::Timestamp,
    workflow::graph::{CreateCall, Created},
};
use capstan_raft_store::{
    cluster::{self, Options, Parts, Started},
    engine::Disk,
    handle::{ClusterHandle, ProposeOptions},
    peer::{NodeFacts, Transport, TryStatus},
    ports::{Clock, Entropy, FatalSink},
    runtime,
    timing::Timing,
};
use futures::future::{self, BoxFuture};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{sync::mpsc, time::Instant};

use super::{Machines, nodes};
use crate::{
    disk::Loss,
    net::{Job, Place, Services},
    oracle::{self, Observation},
};

/// When every world begins: 20 November 2026, in nanoseconds since the Unix epoch.
const EPOCH_NS: u64 = 1_795_132_800_000_000_000;
/// How often the leader looks for nodes that have reported and were not admitted.
const ADMIT_EVERY: Duration = Duration::from_millis(100);

/// What one life starts with.
pub(crate) struct Life {
    pub(super) node: Place,
    pub(super) life: u64,
    pub(super) machines: Arc<Machines>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<AtomicI64>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) entropy_seed: u64,
    pub(super) timing: Timing,
}

impl Life {
    /// Starts the node and does the work it is given until it is buried.
    pub(super) async fn run(self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let clock = Arc::new(SimClock { off_ms: Arc::clone(&self.clock), start: self.machines.start });
        let entropy = Arc::new(SimEntropy(Mutex::new(SmallRng::seed_from_u64(self.entropy_seed))));
        let parts = Parts {
            clock: Arc::clone(&clock) as _,
            entropy: Arc::clone(&entropy) as _,
            disk: Arc::clone(&self.disk),
            transport: Arc::clone(&self.transport),
            fatal: Arc::new(Fatal { node: self.node, life: self.life, machines: Arc::clone(&self.machines) }),
        };
        let facts = NodeFacts {
            peer_address: format!("node-{}:8741", self.node).into(),
            http_address: format!("node-{}:8641", self.node).into(),
            slots: 16,
            job_types: vec![],
        };
        let voters = nodes().map(NodeId).collect();
        let options = Options { node: NodeId(self.node), voters, facts, timing: self.timing.clone() };
        let Started { handle, peers } = match cluster::start(options, parts).await {
            Ok(started) => started,
            Err(error) => return self.did_not_start(&error),
        };
        let api = Api::new(ApiParts {
            cluster: handle.clone(),
            workflows: Arc::new(NoSpecs(Arc::default())),
            job_types: Arc::new(NoJobTypes),
            live_status: Arc::new(NoWords),
            health: Arc::new(AlwaysWell),
            metrics: Arc::new(NoMetrics),
            clock,
            entropy,
        });
        self.machines
            .handles
            .lock()
            .expect("nothing panics while holding it")
            .insert(self.node, handle.clone());
        self.machines.net.serve(self.node, self.life, Services { peers, api });
        runtime::spawn(watch_published(self.watcher(), handle.clone()));
        runtime::spawn(watch_leadership(self.watcher(), handle.clone()));
        runtime::spawn(admit_nodes(handle));
        while let Some(job) = jobs.recv().await {
            runtime::spawn(job());
        }
    }

    fn watcher(&self) -> Watcher {
        Watcher { node: self.node, life: self.life, machines: Arc::clone(&self.machines) }
    }

    fn did_not_start(&self, error: &(dyn std::error::Error + 'static)) {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let reason = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        self.machines.stopped(self.node, self.life, "a node starts on what a crash has left", &reason);
    }
}

impl Machines {
    /// A node has stopped by itself, which it may only if its disk was made to fail.
    fn stopped(&self, node: Place, life: u64, invariant: &str, reason: &str) {
        if !self.lives(node, life) {
            return;
        }
        self.trace.event(node, "stopped", &[], &[]);
        if !self.is_excused(node) {
            self.oracle.violated(invariant, format!("node {node}: {reason}"));
        }
        self.strike(node, Loss::Process);
    }
}

/// Looks at one life on the oracle's behalf.
struct Watcher {
    node: Place,
    life: u64,
    machines: Arc<Machines>,
}

async fn watch_published(watcher: Watcher, handle: ClusterHandle) {
    let Watcher { node, life, machines } = watcher;
    let mut applied = handle.watch();
    loop {
        applied.borrow_and_update();
        if !machines.lives(node, life) {
            return;
        }
        oracle::published(&machines.oracle, node, life, &handle.view());
        let bugs = handle.status().bugs;
        if bugs > 0 {
            machines.oracle.observe(&Observation::Bugs { node, bugs });
        }
        if applied.changed().await.is_err() {
            return;
        }
    }
}

async fn watch_leadership(watcher: Watcher, handle: ClusterHandle) {
    let Watcher { node, life, machines } = watcher;
    let mut leadership = handle.leadership();
    loop {
        let led = *leadership.borrow_and_update();
        if !machines.lives(node, life) {
            return;
        }
        if let Some(term) = led {
            machines.oracle.observe(&Observation::Leads { node, term });
        }
        if leadership.changed().await.is_err() {
            return;
        }
    }
}

/// Admits the nodes that report, while this one leads: what the liveness actor does in a real node.
async fn admit_nodes(handle: ClusterHandle) {
    loop {
        tokio::time::sleep(ADMIT_EVERY).await;
        if handle.leadership().borrow().is_none() {
            continue;
        }
        let view = handle.view();
        for seen in handle.heartbeats() {
            let record = view.state().nodes.get(&seen.incarnation.node);
            if record.is_some_and(|record| record.incarnation >= seen.incarnation) {
                continue;
            }
            let joined = NodeJoined {
                incarnation: seen.incarnation,
                disk: seen.disk,
                peer_address: seen.facts.peer_address,
                http_address: seen.facts.http_address,
                slots: seen.facts.slots,
                job_types: seen.facts.job_types,
            };
            // What is not admitted now is found again at the next look.
            let _ = handle.propose(Command::NodeJoined(joined), ProposeOptions::progress()).await;
        }
    }
}

/// Virtual time, and a wall clock that may be off.
struct SimClock {
    off_ms: Arc<AtomicI64>,
    start: Instant,
}

impl Clock for SimClock {
    fn wall(&self) -> Timestamp {
        let off_ns = self.off_ms.load(Ordering::Relaxed) * 1_000_000;
        let elapsed = u64::try_from(self.start.elapsed().as_nanos()).expect("a run is shorter than an age");
        Timestamp((EPOCH_NS + elapsed).saturating_add_signed(off_ns))
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// Random bits of one life.
struct SimEntropy(Mutex<SmallRng>);

impl Entropy for SimEntropy {
    fn u64(&self) -> u64 {
        self.0.lock().expect("nothing panics while holding it").random()
    }
}

/// Stops this node, and not the simulator.
struct Fatal {
    node: Place,
    life: u64,
    machines: Arc<Machines>,
}

impl FatalSink for Fatal {
    fn fatal(&self, reason: &str) {
        self.machines.stopped(
            self.node,
            self.life,
            "a node stops by itself only when its disk has failed",
            reason,
        );
    }
}

struct NoSpecs(Arc<Specs>);

impl Workflows for NoSpecs {
    fn specs(&self) -> Arc<Specs> {
        Arc::clone(&self.0)
    }
}

struct NoJobTypes;

impl JobTypes for NoJobTypes {
    fn create(&self, _calls: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>> {
        Box::pin(future::ready(Vec::new()))
    }
}

struct NoWords;

impl LiveStatus for NoWords {
    fn statuses(&self, _: Vec<NodeId>, _: Option<RequestId>) -> BoxFuture<'static, Vec<TryStatus>> {
        Box::pin(future::ready(Vec::new()))
    }
}

struct AlwaysWell;

impl NodeHealth for AlwaysWell {
    fn not_ready(&self) -> Vec<String> {
        Vec::new()
    }

    fn alarms(&self) -> Vec<String> {
        Vec::new()
    }

    fn draining(&self) -> bool {
        false
    }
}

struct NoMetrics;

impl MetricsPage for NoMetrics {
    fn render(&self) -> String {
        String::new()
    }
}
