//! `bench`: how fast Capstan is, beside what the disk can do and beside etcd.
//!
//! * [`load`]: closed loops of clients. [`workload`]: what they write and read. [`report`]: what comes out.
//! * [`throughput`], [`failover`], [`requests`], [`lrps`]: benchmarks of Capstan. [`calls`], [`cluster`]: its API, its processes.
//! * [`raft`], [`instances`], [`planner`], [`lint`]: of parts of it, in this process. [`stores`], [`surface`]: the parts.
//! * [`against_etcd`]: the same load on etcd, in turn; [`etcd`]: its API and processes.

mod against_etcd;
mod calls;
mod cluster;
mod counters;
mod disk;
mod etcd;
mod failover;
mod http_client;
mod instances;
mod lint;
mod load;
mod lrps;
mod planner;
mod process;
mod raft;
mod report;
mod requests;
mod scratch;
mod stores;
mod surface;
mod throughput;
mod workload;

use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

use crate::calls::Kind;

/// Measures Capstan, on this machine
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
enum Bench {
    /// Committed writes per second through the HTTP API
    Writes(throughput::ThroughputArgs),
    /// Linearizable reads per second through the HTTP API
    Reads(throughput::ThroughputArgs),
    /// How long nobody can write after the leader was killed
    Failover(failover::FailoverArgs),
    /// Committed writes per second without HTTP, three stores in this process
    Raft(raft::RaftArgs),
    /// Requests created and finished per second
    Requests(requests::RequestsArgs),
    /// How soon long-running processes run, and run again after something was killed
    Lrps(lrps::LrpsArgs),
    /// What many instances cost a node in memory, to list and to look after
    Instances(instances::InstancesArgs),
    /// How many instances the auction places per second
    Planner(planner::PlannerArgs),
    /// How long request specs take to be checked
    Lint(lint::LintArgs),
    /// Writes and reads of Capstan and of etcd, which must be installed, as a ratio
    AgainstEtcd(against_etcd::AgainstEtcdArgs),
}

fn main() -> ExitCode {
    match run(&Bench::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(bench: &Bench) -> anyhow::Result<()> {
    // The load shares the machine with what it measures, so it keeps to one thread; stores in this process are the measured.
    let mut runtime = match bench {
        Bench::Raft(_) | Bench::Instances(_) => runtime::Builder::new_multi_thread(),
        _ => runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            result = measure(bench) => result,
            // Dropping the measurement stops what it has started.
            _ = interrupt.recv() => bail!("interrupted"),
            _ = terminate.recv() => bail!("terminated"),
        }
    })
}

async fn measure(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Writes(args) => throughput::measure(Kind::Write, args).await,
        Bench::Reads(args) => throughput::measure(Kind::Read, args).await,
        Bench::Failover(args) => failover::run(args).await,
        Bench::Raft(args) => raft::run(args).await,
        Bench::Requests(args) => requests::run(args).await,
        Bench::Lrps(args) => lrps::run(args).await,
        Bench::Instances(args) => instances::run(args).await,
        Bench::Planner(args) => planner::run(args),
        Bench::Lint(args) => lint::run(args),
        Bench::AgainstEtcd(args) => against_etcd::run(args).await,
    }
}
