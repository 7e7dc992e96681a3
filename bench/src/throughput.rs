//! `bench writes` and `bench reads`: calls per second over HTTP, for several numbers of clients.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use crate::{
    calls::{self, Kind, NodeCaller},
    cluster::{Cluster, ClusterArgs},
    counters::Counters,
    disk,
    load::{self, Plan},
    report::{Report, Run, write_json},
};

/// How long the disk is measured by itself.
const DISK_PROBE: Duration = Duration::from_secs(1);

/// The arguments of a measurement of throughput.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ThroughputArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Measure a cluster that runs already: its nodes' HTTP addresses
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    addr: Vec<SocketAddr>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// What load there is, and where its figures go.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LoadArgs {
    /// Numbers of clients, one run for each
    #[arg(long, value_name = "N,...", value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    pub(crate) clients: Vec<usize>,
    /// Seconds that are measured in each run
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    seconds: f64,
    /// Seconds of load before that
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    warm_up: f64,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl LoadArgs {
    pub(crate) fn plan(&self) -> anyhow::Result<Plan> {
        Ok(Plan {
            warm_up: Duration::try_from_secs_f64(self.warm_up)?,
            measured: Duration::try_from_secs_f64(self.seconds)?,
        })
    }
}

/// Measures calls of one kind.
pub(crate) async fn measure(kind: Kind, args: &ThroughputArgs) -> anyhow::Result<()> {
    let plan = args.load.plan()?;
    let disk = disk::fsyncs_per_second(&args.cluster.data, DISK_PROBE)?;
    let mut cluster = match args.addr.as_slice() {
        [] => Cluster::start(&args.cluster).await?,
        addresses => Cluster::running(addresses.to_vec()).await?,
    };
    if kind == Kind::Read {
        calls::fill(&cluster.addresses).await?;
    }
    let mut report = Report::new(
        match kind {
            Kind::Write => "writes/s",
            Kind::Read => "reads/s",
        },
        disk,
    );
    for &clients in &args.load.clients {
        let callers = NodeCaller::spread(kind, clients, &cluster.addresses).await?;
        let count = async || Counters::sum(&cluster.addresses).await;
        let (measured, before, after) = load::run(callers, plan, count).await;
        report.add(clients, Run::new(&measured, after.since(before), cluster.addresses.len()));
        cluster.check()?;
    }
    report.print();
    write_json(args.load.json.as_deref(), &report)
}
