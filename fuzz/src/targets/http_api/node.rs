//! A cluster of one voter in memory, with the surface on top of it and doubles where the rest of a node would be.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use capstan_api::{
    Api, Parts,
    ports::{InstanceOutput, JobTypes, LiveStatus, MetricsPage, NodeHealth, OutputError, Workflows},
};
use capstan_model::{
    command::{Command, NodeJoined},
    ids::{DiskId, NodeId, RequestId},
    spec::Specs,
    time::Timestamp,
    workflow::graph::{CreateCall, CreateOutput, Created},
};
use capstan_raft_store::{
    cluster::{self, Options, Started},
    handle::{ClusterHandle, ProposeOptions},
    peer::{
        Channel, NodeFacts, OutputPage, OutputPlace, PeerError, PeerReply, PeerRequest, ReadOutput,
        Transport, TryStatus,
    },
    ports::{Clock, Entropy, FatalSink},
    timing::Timing,
};
use futures::future::{self, BoxFuture};
use tokio::time::Instant;

use crate::memory_disk::MemoryDisk;

const SPECS: &str = "
sequences:
  one: {request: true, nodes: {nothing: {category: job, type: noop}}}
  sleeper:
    request: true
    args:
      required: [{name: ms, desc: milliseconds to sleep}]
      optional: [{name: note, desc: free text, default: none}]
      static: [{name: kind, default: value}]
    nodes:
      first: {category: job, type: noop}
      nap: {category: job, type: sleep, args: [{expected: duration, given: ms}], deps: [first], retry: 1}
  expanded:
    request: true
    args: {required: [{name: l}]}
    nodes: {p: {category: sequence, type: part, each: ['l:x'], parallel: 1}}
  part: {args: {required: [{name: x}]}, nodes: {nothing: {category: job, type: noop}}}
";

/// One node that is its own cluster.
pub(super) struct Node {
    pub(super) api: Api,
}

impl Node {
    /// Starts the node and waits until it serves.
    pub(super) async fn start() -> Self {
        let facts = NodeFacts {
            peer_address: "127.0.0.1:8741".into(),
            http_address: "127.0.0.1:8641".into(),
            slots: 4,
            job_types: vec!["noop".into(), "sleep".into()],
        };
        let clock = Arc::new(VirtualClock(Instant::now()));
        let options = Options {
            node: NodeId(1),
            voters: vec![NodeId(1)],
            facts: facts.clone(),
            timing: Timing::default(),
        };
        let parts = cluster::Parts {
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(Counted::default()),
            disk: Arc::new(MemoryDisk::default()),
            transport: Arc::new(Alone),
            fatal: Arc::new(Panics),
        };
        let Started { handle, .. } =
            cluster::start(options, parts).await.expect("an empty disk is founded on");
        handle.begin_reports();
        join(&handle, facts).await;
        let api = Api::new(Parts {
            cluster: handle,
            workflows: Arc::new(Fixed),
            job_types: Arc::new(Obliging),
            live_status: Arc::new(Silent),
            output: Arc::new(NothingWritten),
            health: Arc::new(Well),
            metrics: Arc::new(NoMetrics),
            clock,
            entropy: Arc::new(Counted::default()),
            heartbeat_after: capstan_api::HEARTBEAT_AFTER,
        });
        Self { api }
    }
}

/// What the liveness actor does for every node once there is a leader.
async fn join(handle: &ClusterHandle, facts: NodeFacts) {
    handle.leadership().wait_for(Option::is_some).await.expect("the only voter leads");
    let joined = NodeJoined {
        incarnation: handle.incarnation(),
        disk: handle.heartbeats().first().map_or(DiskId(1), |seen| seen.disk),
        peer_address: facts.peer_address,
        http_address: facts.http_address,
        slots: facts.slots,
        job_types: facts.job_types,
    };
    let proposed = handle.propose(Command::NodeJoined(joined), ProposeOptions::progress()).await;
    proposed.expect("the only voter commits").reply.expect("a node joins its own cluster");
    let mut applied = handle.watch();
    while handle.view().state().cluster.is_none() {
        applied.changed().await.expect("the node is there");
    }
}

/// Shows the runtime's time, from a fixed moment on.
struct VirtualClock(Instant);

impl Clock for VirtualClock {
    fn wall(&self) -> Timestamp {
        Timestamp(1_795_184_210_000_000_000).after(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Ids in a fixed order that looks like none.
#[derive(Default)]
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn u64(&self) -> u64 {
        (self.0.fetch_add(1, Ordering::Relaxed) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// There is no other node.
struct Alone;

impl Transport for Alone {
    fn call(
        &self,
        node: NodeId,
        _: Channel,
        _: PeerRequest,
        _: Duration,
    ) -> BoxFuture<'static, Result<PeerReply, PeerError>> {
        let reason = "there is no other node".to_owned();
        Box::pin(future::ready(Err(PeerError::Unreachable { node, reason })))
    }
}

/// A call must not stop the node.
struct Panics;

impl FatalSink for Panics {
    fn fatal(&self, reason: &str) {
        panic!("the node stopped: {reason}");
    }
}

struct Fixed;

impl Workflows for Fixed {
    fn specs(&self) -> Arc<Specs> {
        static LOADED: LazyLock<Arc<Specs>> =
            LazyLock::new(|| Arc::new(Specs::load([("specs.yaml", SPECS)]).expect("these specs load")));
        Arc::clone(&LOADED)
    }
}

/// Creates every job.
struct Obliging;

impl JobTypes for Obliging {
    fn create(&self, calls: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>> {
        let created = calls.into_iter().map(|call| {
            let output = CreateOutput { args: call.args, ..CreateOutput::default() };
            Created { job: call.job, result: Ok(output) }
        });
        Box::pin(future::ready(created.collect()))
    }
}

struct Silent;

impl LiveStatus for Silent {
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

struct Well;

impl NodeHealth for Well {
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
