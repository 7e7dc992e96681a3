//! Nodes full of instances, killed: until all of these run elsewhere. A killed node is not started again.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context, ensure};
use bytes::Bytes;
use capstan_client::receptor::ActualLrp;
use hdrhistogram::Histogram;
use http::Method;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{LrpsArgs, desired, follower::Follower, histogram, record};
use crate::{
    cluster::{Cluster, ReadyNode},
    http_client::HttpClient,
    scratch::Scratch,
};

/// The LRP of all instances.
const GUID: &str = "many";

/// Which node is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Victim {
    /// One that does not lead.
    Follower,
    /// The one that does.
    Leader,
}

/// From each kill of a node to the running of the last of its instances elsewhere.
pub(crate) async fn measure(args: &LrpsArgs, victim: Victim) -> anyhow::Result<Histogram<u64>> {
    let mut measured = histogram();
    for _ in 0..args.rounds {
        round(args, victim, &mut measured).await?;
    }
    Ok(measured)
}

async fn round(args: &LrpsArgs, victim: Victim, measured: &mut Histogram<u64>) -> anyhow::Result<()> {
    let pids = Scratch::below(&args.cluster.data)?;
    let folder = pids.path().to_str().context("the folder's name is no UTF-8")?;
    let mut cluster = Cluster::start_without_restart(&args.cluster).await?;
    let wanted = args.instances * cluster.addresses.len();
    let mut http = HttpClient::json(cluster.addresses[0]);
    let mut follower = Follower::start(&cluster.addresses).await?;
    http.succeed(Method::POST, "/v1/desired_lrps", desired(GUID, wanted, folder)).await?;
    for _ in 0..wanted {
        follower.running().await?;
    }

    let leader = cluster.wait_until_settled().await?;
    let processes = cluster.processes()?;
    let is_victim = |id: u64| (id == leader) == (victim == Victim::Leader);
    let process = processes.iter().find(|node| is_victim(node.id)).context("there is such a node")?;
    let cell = format!("cell-{}", process.id);
    let list = http.succeed(Method::GET, &format!("/v1/actual_lrps/{GUID}"), Bytes::new()).await?;
    let instances: Vec<ActualLrp> = serde_json::from_slice(&list)?;
    let of_cell = instances.iter().filter(|instance| instance.cell_id == cell);
    let mut lost: BTreeSet<_> = of_cell.map(|instance| instance.index).collect();
    ensure!(lost.len() == args.instances, "{cell} has {} instances", lost.len());
    let survivors = processes.iter().filter(|node| node.id != process.id).map(ReadyNode::address);
    let survivors = survivors.collect::<Result<Vec<_>, _>>()?;
    let mut follower = Follower::start(&survivors).await?;

    let killed = Instant::now();
    kill(Pid::from_raw(process.pid), Signal::SIGKILL)?;
    while !lost.is_empty() {
        let instance = follower.running().await?;
        ensure!(instance.cell_id != cell, "{cell} was killed, and runs something");
        lost.remove(&instance.index);
    }
    record(measured, killed.elapsed());
    cluster.check()
}
