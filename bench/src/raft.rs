//! `bench raft`: the same writes without HTTP, so that its cost is seen: three stores in this process over loopback.

use std::{collections::BTreeMap, process, sync::Arc, time::Duration};

use anyhow::Context;
use capstan_api::ports::MetricsPage;
use capstan_model::{
    command::{Command, Condition, NodeJoined},
    ids::{NodeId, VariableName},
};
use capstan_node::{clock::SystemClock, entropy::SystemEntropy, peer_net::PeerNet, telemetry::Metrics};
use capstan_raft_store::{
    cluster::{self, Options, Parts, Started},
    engine::RocksDisk,
    handle::{ClusterHandle, ProposeOptions},
    peer::NodeFacts,
    ports::FatalSink,
    timing::Timing,
};
use tokio::{net::TcpListener, time::sleep};

use crate::{
    counters::Counters,
    disk,
    load::{self, Caller, Rotating},
    report::{Report, Run, write_json},
    scratch::Scratch,
    throughput::LoadArgs,
    workload::Workload,
};

/// How many stores.
const NODES: u64 = 3;
/// How often to look whether a node was heard of and admitted.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long the disk is measured by itself.
const DISK_PROBE: Duration = Duration::from_secs(1);

/// The arguments of `bench raft`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RaftArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// Where data is kept meanwhile; its file system is what is measured
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    data: std::path::PathBuf,
}

/// Runs the benchmark.
pub(crate) async fn run(args: &RaftArgs) -> anyhow::Result<()> {
    let plan = args.load.plan()?;
    let metrics = Metrics::start()?;
    let scratch = Scratch::below(&args.data)?;
    let disk = disk::fsyncs_per_second(scratch.path(), DISK_PROBE)?;
    let nodes = start(&scratch).await?;
    let mut report = Report::new("writes/s", disk);
    for &clients in &args.load.clients {
        let mut made = 0;
        let callers = Rotating::spread(clients, nodes.len(), async |node| {
            made += 1;
            Ok(Proposer { cluster: nodes[node].handle.clone(), workload: Workload::new(made) })
        })
        .await?;
        let count = async || Counters::parse(&metrics.render());
        let (measured, before, after) = load::run(callers, plan, count).await;
        report.add(clients, Run::new(&measured, after.since(before), nodes.len()));
    }
    for node in &nodes {
        node.handle.shutdown().await;
        node.net.close();
    }
    report.print();
    write_json(args.load.json.as_deref(), &report)
}

struct Node {
    handle: ClusterHandle,
    net: PeerNet,
}

/// Starts the stores, as `capstan server` would, and admits each.
async fn start(scratch: &Scratch) -> anyhow::Result<Vec<Node>> {
    let mut listeners = BTreeMap::new();
    for id in 1..=NODES {
        listeners.insert(NodeId(id), TcpListener::bind("127.0.0.1:0").await?);
    }
    let mut addresses = BTreeMap::new();
    for (id, listener) in &listeners {
        addresses.insert(*id, listener.local_addr()?.to_string());
    }
    let mut nodes = Vec::new();
    for (id, listener) in listeners {
        let others = addresses.iter().filter(|(other, _)| **other != id);
        let net = PeerNet::new(&others.map(|(other, address)| (*other, address.clone())).collect());
        let options = Options {
            node: id,
            voters: addresses.keys().copied().collect(),
            facts: NodeFacts {
                peer_address: addresses[&id].as_str().into(),
                http_address: "none".into(),
                slots: 1,
                job_types: Vec::new(),
            },
            timing: Timing::default(),
        };
        let parts = Parts {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            disk: Arc::new(RocksDisk::open(&scratch.path().join(format!("n{id}")))?),
            transport: Arc::new(net.clone()),
            fatal: Arc::new(ExitOnFatal),
        };
        let Started { handle, peers } = cluster::start(options, parts).await?;
        handle.begin_reports();
        net.serve(listener, peers);
        nodes.push(Node { handle, net });
    }
    tokio::time::timeout(Duration::from_secs(30), admit_all(&nodes))
        .await
        .context("the stores were not ready within 30 s")??;
    Ok(nodes)
}

/// Does the liveness actor's part: opens the session of every store that reports to the leader.
async fn admit_all(nodes: &[Node]) -> anyhow::Result<()> {
    let joined = |node: &Node| node.handle.view().state().sessions.of(node.handle.incarnation()).is_some();
    while !nodes.iter().all(joined) {
        sleep(LOOK_EVERY).await;
        let Some(leader) = nodes.iter().find(|node| node.handle.leadership().borrow().is_some()) else {
            continue;
        };
        for seen in leader.handle.heartbeats() {
            let joining = NodeJoined {
                incarnation: seen.incarnation,
                disk: seen.disk,
                peer_address: seen.facts.peer_address,
                http_address: seen.facts.http_address,
                slots: seen.facts.slots,
                job_types: seen.facts.job_types,
            };
            leader.handle.propose(Command::NodeJoined(joining), ProposeOptions::progress()).await?;
        }
    }
    Ok(())
}

/// One client of one store.
struct Proposer {
    cluster: ClusterHandle,
    workload: Workload,
}

impl Caller for Proposer {
    async fn call(&mut self) -> anyhow::Result<()> {
        let name: VariableName = self.workload.key().parse()?;
        let command = Command::PutVariable { name, value: self.workload.value(), condition: Condition::Any };
        self.cluster.propose(command, ProposeOptions::client()).await?.reply?;
        Ok(())
    }
}

struct ExitOnFatal;

impl FatalSink for ExitOnFatal {
    fn fatal(&self, reason: &str) {
        eprintln!("bench: a store failed: {reason}");
        process::exit(74);
    }
}
