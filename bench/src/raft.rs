//! `bench raft`: the same writes without HTTP, so that its cost is seen: three stores in this process over loopback.

use std::time::Duration;

use capstan_api::ports::MetricsPage;
use capstan_model::{
    command::{Command, Condition},
    ids::VariableName,
};
use capstan_node::telemetry::Metrics;
use capstan_raft_store::handle::{ClusterHandle, ProposeOptions};

use crate::{
    counters::Counters,
    disk,
    load::{self, Caller, Rotating},
    report::{Report, Run, write_json},
    scratch::Scratch,
    stores,
    throughput::LoadArgs,
    workload::Workload,
};

/// How many stores.
const NODES: u64 = 3;
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
    let nodes = stores::start(&scratch, NODES).await?;
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
        node.stop().await;
    }
    report.print();
    write_json(args.load.json.as_deref(), &report)
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
