//! LRPs of one instance each: started one after the other, then their processes killed.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use capstan_client::receptor::ActualLrp;
use hdrhistogram::Histogram;
use http::Method;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::time::sleep;

use super::{LrpsArgs, PATIENCE, desired, follower::Follower, histogram, record};
use crate::{cluster::Cluster, http_client::HttpClient, scratch::Scratch};

/// How often to look whether a process has left its id.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// From each POST to its instance's running, and from each kill to that of the next instance.
pub(crate) async fn measure(args: &LrpsArgs) -> anyhow::Result<(Histogram<u64>, Histogram<u64>)> {
    let pids = Scratch::below(&args.cluster.data)?;
    let folder = pids.path().to_str().context("the folder's name is no UTF-8")?;
    let mut cluster = Cluster::start(&args.cluster).await?;
    let mut follower = Follower::start(&cluster.addresses).await?;
    let mut nodes: Vec<_> = cluster.addresses.iter().map(|address| HttpClient::json(*address)).collect();
    let count = nodes.len();
    let (mut starts, mut kills) = (histogram(), histogram());
    let mut running = Vec::new();
    for number in 0..args.starts {
        let guid = format!("lrp-{number}");
        let begun = Instant::now();
        nodes[number % count].succeed(Method::POST, "/v1/desired_lrps", desired(&guid, 1, folder)).await?;
        running.push(runs(&mut follower, &guid).await?);
        record(&mut starts, begun.elapsed());
    }
    cluster.check()?;
    for instance in running.iter().take(args.kills) {
        let pid = pid_of(pids.path(), instance).await?;
        let killed = Instant::now();
        kill(pid, Signal::SIGKILL)?;
        let next = runs(&mut follower, &instance.process_guid).await?;
        record(&mut kills, killed.elapsed());
        ensure!(next.instance_guid != instance.instance_guid, "{} was not started again", next.process_guid);
    }
    Ok((starts, kills))
}

async fn runs(follower: &mut Follower, guid: &str) -> anyhow::Result<ActualLrp> {
    loop {
        let instance = follower.running().await?;
        if instance.process_guid == guid {
            return Ok(instance);
        }
    }
}

/// The process of an instance, once it has left its id.
async fn pid_of(folder: &Path, instance: &ActualLrp) -> anyhow::Result<Pid> {
    let (path, begun) = (folder.join(&instance.instance_guid), Instant::now());
    loop {
        let text = fs::read_to_string(&path).unwrap_or_default();
        if let Some(pid) = text.strip_suffix('\n') {
            return Ok(Pid::from_raw(pid.parse()?));
        }
        ensure!(begun.elapsed() < PATIENCE, "{} has left no process id", instance.process_guid);
        sleep(LOOK_EVERY).await;
    }
}
