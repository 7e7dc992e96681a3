//! A cluster of one real voter in a temporary folder, with the surface on top of it and doubles where the node would be.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use capstan_api::{
    Access, Api, Parts,
    ports::{JobTypes, LiveStatus, MetricsPage, NodeHealth, Workflows},
};
use capstan_model::{
    command::{Command, NodeJoined},
    ids::{DiskId, NodeId, RequestId},
    spec::Specs,
    time::Timestamp,
    workflow::{
        graph::{CreateCall, CreateError, CreateOutput, Created},
        json::JsonText,
    },
};
use capstan_raft_store::{
    cluster::{self, Options, Started},
    engine::RocksDisk,
    handle::{ClusterHandle, ProposeOptions},
    peer::{Channel, NodeFacts, PeerError, PeerReply, PeerRequest, Transport, TryStatus},
    ports::{Clock, Entropy, FatalSink},
    timing::Timing,
};
use futures::future::{self, BoxFuture};
use tempfile::TempDir;

use crate::output::TestOutput;

/// One node that is its own cluster.
pub(crate) struct TestNode {
    pub(crate) api: Api,
    pub(crate) cluster: ClusterHandle,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) output: TestOutput,
    /// Kept until the node is gone.
    _data: TempDir,
}

impl TestNode {
    /// Starts the node and waits until it serves.
    pub(crate) async fn start() -> Self {
        Self::guarded(Access::default()).await
    }

    /// As [`TestNode::start`], with a guard on what is under `/v1`.
    pub(crate) async fn guarded(access: Access) -> Self {
        let data = tempfile::tempdir().unwrap();
        let facts = NodeFacts {
            peer_address: "127.0.0.1:8741".into(),
            http_address: "127.0.0.1:8641".into(),
            slots: 4,
            job_types: vec!["sleep".into()],
        };
        let options = Options {
            node: NodeId(1),
            voters: vec![NodeId(1)],
            facts: facts.clone(),
            timing: Timing::default(),
        };
        let parts = cluster::Parts {
            clock: Arc::new(HostClock(Instant::now())),
            entropy: Arc::new(Counted::default()),
            disk: Arc::new(RocksDisk::open(data.path()).unwrap()),
            transport: Arc::new(Alone),
            fatal: Arc::new(Panics),
        };
        let Started { handle, .. } = cluster::start(options, parts).await.unwrap();
        handle.begin_reports();
        join(&handle, facts).await;
        let draining = Arc::new(AtomicBool::new(false));
        let output = TestOutput::default();
        let api = Api::guarded(parts_over(&handle, &draining, &output), access);
        Self { api, cluster: handle, draining, output, _data: data }
    }
}

/// The surface of a node that somebody else has started.
pub(crate) fn surface(cluster: &ClusterHandle) -> Api {
    Api::new(parts_over(cluster, &Arc::default(), &TestOutput::default()))
}

/// As [`surface`], with other job types.
pub(crate) fn surface_with(cluster: &ClusterHandle, job_types: Arc<dyn JobTypes>) -> Api {
    Api::new(Parts { job_types, ..parts_over(cluster, &Arc::default(), &TestOutput::default()) })
}

/// The store, and doubles where the rest of a node would be.
fn parts_over(cluster: &ClusterHandle, draining: &Arc<AtomicBool>, output: &TestOutput) -> Parts {
    Parts {
        cluster: cluster.clone(),
        workflows: Arc::new(TestSpecs(Arc::new(specs()))),
        job_types: Arc::new(TestTypes),
        live_status: Arc::new(Talkative(cluster.clone())),
        output: Arc::new(output.clone()),
        health: Arc::new(TestHealth(Arc::clone(draining))),
        metrics: Arc::new(OneMetric),
        clock: Arc::new(StoppedClock),
        entropy: Arc::new(Counted::default()),
    }
}

/// What the liveness actor does for every node once there is a leader.
async fn join(handle: &ClusterHandle, facts: NodeFacts) {
    handle.leadership().wait_for(Option::is_some).await.unwrap();
    let disk = handle.heartbeats().first().map(|seen| seen.disk);
    let joined = NodeJoined {
        incarnation: handle.incarnation(),
        disk: disk.unwrap_or(DiskId(1)),
        peer_address: facts.peer_address,
        http_address: facts.http_address,
        slots: facts.slots,
        job_types: facts.job_types,
    };
    handle.propose(Command::NodeJoined(joined), ProposeOptions::progress()).await.unwrap().reply.unwrap();
    let mut applied = handle.watch();
    while handle.view().state().cluster.is_none() {
        applied.changed().await.unwrap();
    }
}

/// Every running try says the same of itself.
struct Talkative(ClusterHandle);

impl LiveStatus for Talkative {
    fn statuses(&self, owners: Vec<NodeId>, _: Option<RequestId>) -> BoxFuture<'static, Vec<TryStatus>> {
        assert_eq!(owners, [NodeId(1)], "only owners are asked");
        let view = self.0.view();
        let running = view.state().running_under(self.0.incarnation());
        let told = running.map(|running| TryStatus {
            request: running.id.request,
            job: running.id.job,
            try_no: running.id.try_no,
            status: "half done".to_owned(),
        });
        Box::pin(future::ready(told.collect()))
    }
}

fn specs() -> Specs {
    Specs::load([("specs.yaml", include_str!("specs.yaml"))]).unwrap_or_else(|errors| panic!("{errors:?}"))
}

struct HostClock(Instant);

impl Clock for HostClock {
    fn wall(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp(u64::try_from(since_epoch.as_nanos()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Makes the ids of requests the same in every run.
struct StoppedClock;

impl Clock for StoppedClock {
    fn wall(&self) -> Timestamp {
        Timestamp(1_795_184_210_000_000_000)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

/// The generator of `splitmix64` from a fixed seed.
#[derive(Default)]
struct Counted(AtomicU64);

impl Entropy for Counted {
    fn u64(&self) -> u64 {
        let mut bits =
            self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
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
        Box::pin(future::ready(Err(PeerError::Unreachable {
            node,
            reason: "there is no other node".to_owned(),
        })))
    }
}

struct Panics;

impl FatalSink for Panics {
    fn fatal(&self, reason: &str) {
        panic!("the node stopped: {reason}");
    }
}

struct TestSpecs(Arc<Specs>);

impl Workflows for TestSpecs {
    fn specs(&self) -> Arc<Specs> {
        Arc::clone(&self.0)
    }
}

/// Knows `sleep`, whose duration must be a number, and `slow`, which never finishes creating.
struct TestTypes;

impl JobTypes for TestTypes {
    fn create(&self, calls: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>> {
        if calls.iter().any(|call| &*call.job_type == "slow") {
            return Box::pin(future::pending());
        }
        let created =
            calls.iter().map(|call| Created { job: call.job, result: create_sleep(call) }).collect();
        Box::pin(future::ready(created))
    }
}

fn create_sleep(call: &CreateCall) -> Result<CreateOutput, CreateError> {
    if &*call.job_type != "sleep" {
        return Err(CreateError::UnknownType);
    }
    let text = call.args.get("duration").and_then(JsonText::to_text).unwrap_or_default();
    let millis: u64 =
        text.parse().map_err(|_| CreateError::Failed(format!("time: invalid duration \"{text}ms\"")))?;
    let bytes = format!("{{\"duration\":{}}}", millis * 1_000_000);
    Ok(CreateOutput { bytes: bytes.into(), ..CreateOutput::default() })
}

struct TestHealth(Arc<AtomicBool>);

impl NodeHealth for TestHealth {
    fn not_ready(&self) -> Vec<String> {
        if self.draining() { vec!["this node is draining".to_owned()] } else { vec![] }
    }

    fn alarms(&self) -> Vec<String> {
        vec![]
    }

    fn draining(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct OneMetric;

impl MetricsPage for OneMetric {
    fn render(&self) -> String {
        "capstan_up 1\n".to_owned()
    }
}
