//! One life of a node: the real store, actors and API on simulated ground, and the watchers of the oracle.

use std::{sync::Arc, time::Duration};

use capstan_api::{
    Api, Parts as ApiParts,
    ports::{InstanceOutput, LiveStatus, MetricsPage, NodeHealth, OutputError, Workflows},
};
use capstan_model::{
    ids::{NodeId, RequestId},
    lrp::isolation::Isolation,
    spec::Specs,
    spec_store::SpecFile,
};
use capstan_node::{
    actors::{self, Alarm, Tools, liveness},
    callbacks::Callbacks,
    cell::CellTools,
    executor::{Executor, lease},
    instance::monitor::check_permits,
    jobs::JobTypes,
    lost, specs_seed,
};
use capstan_raft_store::{
    cluster::{self, Options, Parts, Started},
    engine::Disk,
    handle::ClusterHandle,
    peer::{NodeFacts, OutputPage, OutputPlace, ReadOutput, Transport, TryStatus},
    ports::{Entropy, FatalSink},
    runtime,
};
use futures::future::{self, BoxFuture};
use tokio::sync::mpsc;

use super::{
    Ground, Machines,
    clock::{MachineClock, SimEntropy},
};
use crate::{
    disk::Loss,
    guardian::{SimDrivers, SimExecutor},
    net::{Job, Place, Services},
    oracle::{self, Observation},
};

/// What one life starts with.
pub(crate) struct Life {
    pub(super) node: Place,
    pub(super) life: u64,
    pub(super) machines: Arc<Machines>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) clock: Arc<MachineClock>,
    pub(super) executor: SimExecutor,
    pub(super) drivers: SimDrivers,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) entropy_seed: u64,
    pub(super) ground: Ground,
}

impl Life {
    /// Starts the node and does the work it is given until it is buried.
    pub(super) async fn run(self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let entropy = Arc::new(SimEntropy::new(self.entropy_seed));
        let parts = Parts {
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::clone(&entropy) as _,
            disk: Arc::clone(&self.disk),
            transport: Arc::clone(&self.transport),
            fatal: Arc::new(Fatal { node: self.node, life: self.life, machines: Arc::clone(&self.machines) }),
        };
        let job_types = JobTypes::built_in();
        let facts = NodeFacts {
            peer_address: format!("node-{}:8741", self.node).into(),
            http_address: format!("node-{}:8641", self.node).into(),
            slots: self.ground.slots,
            job_types: job_types.names().map(Into::into).collect(),
        };
        let voters = self.machines.net.nodes().map(NodeId).collect();
        let options = Options { node: NodeId(self.node), voters, facts, timing: self.ground.timing.clone() };
        let Started { handle, peers } = match cluster::start(options, parts).await {
            Ok(started) => started,
            Err(error) => return self.did_not_start(&error),
        };
        let watcher = self.watcher();
        // In the order in which a real node starts.
        let executor: Arc<dyn Executor> = Arc::new(self.executor);
        if executor.begin(handle.incarnation()).await.is_err() {
            return; // Its machine has no power any more.
        }
        handle.begin_reports();
        runtime::spawn(lease::follow(handle.lease(), Arc::clone(&executor)));
        let cells = &self.ground.cells;
        let cell = CellTools {
            zone: cells.zone(self.node),
            capacity: cells.capacity(),
            rootfs: cells.rootfs(self.node),
            isolation: Isolation::default(),
            drivers: Arc::new(self.drivers),
            checks: check_permits(),
        };
        let tools = Tools {
            alarm: Alarm::default(),
            cluster: handle.clone(),
            executor,
            jobs: job_types.clone(),
            clock: Arc::clone(&self.clock) as _,
            cell: Some(cell),
            callbacks: Arc::new(Owners { entropy: Arc::clone(&entropy) }),
            entropy: Arc::clone(&entropy) as _,
            owner_lost_after: self.ground.timing.owner_lost_after,
            cell_silent_after: liveness::cell_silent_after(&self.ground.timing),
        };
        let directory = self.ground.specs.of(self.node).clone();
        let api = Api::new(ApiParts {
            cluster: handle.clone(),
            workflows: Arc::new(Loaded(directory.specs)),
            job_types: Arc::new(job_types),
            live_status: Arc::new(NoWords),
            output: Arc::new(NothingWritten),
            health: Arc::new(AlwaysWell),
            metrics: Arc::new(NoMetrics),
            clock: self.clock,
            entropy,
            heartbeat_after: capstan_api::HEARTBEAT_AFTER,
        });
        self.machines
            .handles
            .lock()
            .expect("nothing panics while holding it")
            .insert(self.node, handle.clone());
        self.machines.net.serve(self.node, self.life, Services { peers, api });
        if !directory.files.is_empty() {
            runtime::spawn(seed(watcher.clone(), directory.files, handle.clone()));
        }
        runtime::spawn(watch_published(watcher.clone(), handle.clone()));
        runtime::spawn(watch_leadership(watcher.clone(), handle.clone()));
        runtime::spawn(begin_again(watcher.clone(), handle));
        tokio::task::spawn_local(act(watcher, tools));
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
    /// A node has stopped by itself, which it may only if its disk has failed, or is damaged.
    fn stopped(&self, node: Place, life: u64, invariant: &str, reason: &str) {
        if !self.lives(node, life) {
            return;
        }
        self.trace.event(node, "stopped", &[], &[]);
        if self.disk(node).is_hurt() {
            self.to_start_again.lock().expect("nothing panics while holding it").insert(node);
        }
        if !self.is_to_start_again(node) && !self.is_retired(node) {
            self.oracle.violated(invariant, format!("node {node}: {reason}"));
        }
        self.strike(node, Loss::Process);
    }
}

/// Looks at one life on the oracle's behalf.
#[derive(Clone)]
struct Watcher {
    node: Place,
    life: u64,
    machines: Arc<Machines>,
}

/// Ends the life once the cluster has declared it lost, as a real node does.
async fn begin_again(watcher: Watcher, handle: ClusterHandle) {
    lost::declared(handle).await;
    let Watcher { node, life, machines } = watcher;
    if machines.lives(node, life) {
        machines.trace.event(node, "declared lost", &[life], &[]);
        machines.begin_again(node, Loss::Process);
    }
}

/// Runs the node's actors, which never end by themselves.
async fn act(watcher: Watcher, tools: Tools) {
    actors::run(tools).await;
    watcher.machines.stopped(
        watcher.node,
        watcher.life,
        "actors end with their node",
        "the actors have ended",
    );
}

/// Gives the files of the node's directory to a cluster that has no specs, as a real node does.
async fn seed(watcher: Watcher, files: Arc<[SpecFile]>, handle: ClusterHandle) {
    if let Err(rejection) = specs_seed::seed(&files, &handle).await {
        let found = format!("node {}: {rejection}", watcher.node);
        watcher.machines.oracle.violated("a new cluster takes the specs of a node's directory", found);
    }
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

/// The specs that the node was started with.
struct Loaded(Arc<Specs>);

impl Workflows for Loaded {
    fn specs(&self) -> Arc<Specs> {
        Arc::clone(&self.0)
    }
}

/// Those who are called back: some are busy, some are not there, most hear it.
struct Owners {
    entropy: Arc<SimEntropy>,
}

impl Callbacks for Owners {
    fn post(&self, _: &str, _: String) -> BoxFuture<'static, Result<u16, String>> {
        let draw = self.entropy.u64();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(draw % 200)).await;
            match draw / 200 % 6 {
                0 => Err("nobody is there".to_owned()),
                1 => Ok(503),
                _ => Ok(200),
            }
        })
    }
}

struct NoWords;

impl LiveStatus for NoWords {
    fn statuses(&self, _: Vec<NodeId>, _: Option<RequestId>) -> BoxFuture<'static, Vec<TryStatus>> {
        Box::pin(future::ready(Vec::new()))
    }
}

struct NothingWritten;

impl InstanceOutput for NothingWritten {
    fn read(&self, _: NodeId, _: ReadOutput) -> BoxFuture<'static, Result<OutputPage, OutputError>> {
        let next = OutputPlace::default();
        let page = OutputPage { lines: Vec::new(), next, is_last: true, is_known: false };
        Box::pin(future::ready(Ok(page)))
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
