//! `bench instances`: what many instances cost a node in memory, to list, to place and to look after.
//!
//! One store in this process, with the HTTP surface over it. Its LRPs are desired by calls; what cells and the leader's actors do
//! is done here: every instance is placed by the planner, a batch at a time, and reported to run. No process is started.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use capstan_api::Api;
use capstan_model::{
    auction::{Auction, Item, commands, plan, work::work},
    command::{Command, NodeJoined},
    ids::{DiskId, Incarnation, NodeId},
    lrp::{
        actual::{ActualKey, InstanceKey, NetInfo, PortMapping},
        cell::{Announcement, Capacity, RootfsProviders},
        command::LrpCommand,
        convergence,
        isolation::Isolation,
    },
    time::Timestamp,
};
use capstan_raft_store::handle::{ClusterHandle, ProposeOptions, View};
use futures::{TryStreamExt, stream};
use http::{Request, header};
use serde::Serialize;

use crate::{
    report::{finish, table, write_json},
    scratch::Scratch,
    stores, surface,
};

/// How many proposals are in flight.
const IN_FLIGHT: usize = 256;
/// How many instances an auction is about, as with the leader's auctioneer.
const BATCH: usize = 512;
/// How many cells there are; each has room for all.
const CELLS: u64 = 1_000;
/// How many records a page has.
const PAGE: usize = 1_000;
/// How often a page is listed; the median counts.
const ROUNDS: usize = 21;

/// The arguments of `bench instances`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct InstancesArgs {
    /// At how many instances to measure, in growing order
    #[arg(long, value_delimiter = ',', default_value = "1000,10000,50000,250000")]
    at: Vec<usize>,
    /// How many instances an LRP has
    #[arg(long, default_value_t = 50)]
    per_lrp: usize,
    /// Where data is kept meanwhile
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    data: PathBuf,
    /// Where the figures are written as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// How it is with a number of instances.
#[derive(Debug, Serialize)]
struct Grown {
    instances: usize,
    /// How long it took from the number before until all ran, for each instance.
    us_per_instance: f64,
    resident_mib: f64,
    page_ms: f64,
    whole_list_ms: f64,
    /// A full pass of the converger that finds nothing to do.
    convergence_ms: f64,
    /// A look of the auctioneer that finds nothing to place.
    nothing_to_place_ms: f64,
    /// One cell of a thousand falls silent: until all it had runs elsewhere, without the bound on starts per second.
    lost_cell_ms: f64,
}

/// Runs the benchmark.
pub(crate) async fn run(args: &InstancesArgs) -> anyhow::Result<()> {
    let scratch = Scratch::below(&args.data)?;
    let stores = stores::start(&scratch, 1).await?;
    let cluster = &stores[0].handle;
    let api = surface::over(cluster);
    announce(cluster).await?;
    let (mut all, mut lrps) = (Vec::new(), 0);
    for &instances in &args.at {
        let before = cluster.view().state().lrps.groups().count();
        let begun = Instant::now();
        while lrps * args.per_lrp < instances {
            desire(&api, lrps, args.per_lrp).await?;
            lrps += 1;
        }
        run_all(cluster).await?;
        let count = cluster.view().state().lrps.groups().count();
        let grew = begun.elapsed().as_secs_f64() / (count - before).max(1) as f64;
        all.push(measure(cluster, &api, count, grew).await?);
        eprintln!("{count} instances run");
    }
    stores[0].stop().await;
    print(&all);
    write_json(args.json.as_deref(), &all)
}

fn cell(node: u64) -> Incarnation {
    Incarnation { node: NodeId(1_000 + node), boot: 1, nonce: node }
}

/// Admits the nodes and announces their cells.
async fn announce(cluster: &ClusterHandle) -> anyhow::Result<()> {
    for node in 1..=CELLS {
        let joined = NodeJoined {
            incarnation: cell(node),
            disk: DiskId(node.into()),
            peer_address: "none".into(),
            http_address: "none".into(),
            slots: 1,
            job_types: Vec::new(),
        };
        propose(cluster, Command::NodeJoined(joined)).await?;
        let announcement = Announcement {
            incarnation: cell(node),
            zone: format!("z{}", node % 3).into(),
            capacity: Capacity { memory_mb: 1 << 30, disk_mb: 1 << 30, containers: 1 << 20 },
            rootfs: RootfsProviders { preloaded: vec!["host".into()], schemes: vec![] },
            isolation: Isolation::default(),
        };
        propose(cluster, Command::Lrp(LrpCommand::AnnounceCell(Box::new(announcement)))).await?;
    }
    Ok(())
}

async fn propose(cluster: &ClusterHandle, command: Command) -> anyhow::Result<()> {
    cluster.propose(command, ProposeOptions::progress()).await?.reply?;
    Ok(())
}

/// Desires an LRP such as a buildpack application is.
async fn desire(api: &Api, lrp: usize, instances: usize) -> anyhow::Result<()> {
    let body = serde_json::json!({
        "process_guid": format!("0a8f3b52-5f0b-4f6b-9d5c-{lrp:012}"),
        "domain": "apps",
        "rootfs": "preloaded:host",
        "instances": instances,
        "ports": [8080],
        "memory_mb": 128,
        "disk_mb": 256,
        "action": {"run": {"path": "/app/server", "args": ["--listen", "8080"], "user": "vcap"}},
        "monitor": {"run": {"path": "/app/check", "args": ["8080"], "user": "vcap"}},
        "env": [{"name": "DATABASE_URL", "value": "postgres://10.0.0.1/app"}],
        "routes": {"router": [{"hostnames": [format!("app-{lrp}.example.com")], "port": 8080}]},
    });
    let call = Request::post("/v1/desired_lrps").header(header::CONTENT_TYPE, "application/json");
    surface::call(api, call.body(Bytes::from(body.to_string()))?).await.map(drop)
}

/// Places everything and reports that it runs.
async fn run_all(cluster: &ClusterHandle) -> anyhow::Result<()> {
    loop {
        let view = cluster.view();
        let waiting = work(view.state(), Timestamp::ZERO, BATCH);
        if waiting.is_empty() {
            return Ok(());
        }
        let mut auction = Auction::about(view.state(), &waiting);
        let outcomes = plan(&mut auction, waiting.clone());
        for command in commands(outcomes, rand::random) {
            propose(cluster, command).await?;
        }
        let view = cluster.view();
        let placed: Vec<(ActualKey, InstanceKey)> = waiting
            .iter()
            .map(|work| {
                let Item::Instance { key, .. } = &work.item else {
                    anyhow::bail!("a task waits");
                };
                let group = view.state().lrps.group(key).context("it was placed")?;
                let actual = group.instance.as_ref().context("it was placed")?;
                Ok((key.clone(), actual.instance().context("it found no cell")?))
            })
            .collect::<anyhow::Result<_>>()?;
        stream::iter(placed.into_iter().enumerate().map(Ok))
            .try_for_each_concurrent(IN_FLIGHT, |(at, (key, instance))| async move {
                let ports =
                    vec![PortMapping { container_port: 8_080, host_port: 61_000 + u16::try_from(at)? }];
                let net = NetInfo { address: "10.0.0.1".into(), ports }.into();
                propose(cluster, Command::Lrp(LrpCommand::Running { key, instance, net })).await
            })
            .await?;
    }
}

async fn measure(cluster: &ClusterHandle, api: &Api, instances: usize, grew: f64) -> anyhow::Result<Grown> {
    let page = format!("/v1/actual_lrps?limit={PAGE}");
    let mut pages = Vec::new();
    for _ in 0..ROUNDS {
        pages.push(list(api, &page).await?);
    }
    pages.sort();
    let resident_mib = resident_mib()?;
    let whole = list(api, "/v1/actual_lrps").await?;
    let view = cluster.view();
    let (state, at) = (view.state(), view.state().log_time());
    let begun = Instant::now();
    let steps = convergence::steps(&state.lrps, at).count();
    let convergence = begun.elapsed();
    anyhow::ensure!(steps == 0, "{steps} steps although nothing happened");
    let begun = Instant::now();
    anyhow::ensure!(work(state, Timestamp::ZERO, BATCH).is_empty(), "something waits");
    let nothing_to_place = begun.elapsed();
    Ok(Grown {
        instances,
        us_per_instance: grew * 1e6,
        resident_mib,
        page_ms: ms(pages[ROUNDS / 2]),
        whole_list_ms: ms(whole),
        convergence_ms: ms(convergence),
        nothing_to_place_ms: ms(nothing_to_place),
        lost_cell_ms: ms(lose_cell(cluster).await?),
    })
}

/// One cell is not heard until everything it had runs elsewhere.
async fn lose_cell(cluster: &ClusterHandle) -> anyhow::Result<Duration> {
    let lost = cell(1);
    let term = cluster.view().state().term();
    let begun = Instant::now();
    propose(cluster, Command::Lrp(LrpCommand::CellSilent { incarnation: lost, term })).await?;
    let has_steps =
        |view: View| convergence::steps(&view.state().lrps, view.state().log_time()).next().is_some();
    while has_steps(cluster.view()) {
        propose(cluster, Command::Lrp(LrpCommand::Converge { draw: rand::random() })).await?;
    }
    run_all(cluster).await?;
    let took = begun.elapsed();
    propose(cluster, Command::Lrp(LrpCommand::CellHeard { incarnation: lost })).await?;
    Ok(took)
}

/// What of this process is in memory.
fn resident_mib() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmRSS")?.parse()?;
    Ok(kib / 1_024.0)
}

fn print(all: &[Grown]) {
    let mut rows = table(&[
        "instances",
        "us each",
        "resident MiB",
        "page ms",
        "whole list ms",
        "convergence ms",
        "nothing to place ms",
        "lost cell ms",
    ]);
    for grown in all {
        rows.add_row([
            grown.instances.to_string(),
            format!("{:.0}", grown.us_per_instance),
            format!("{:.0}", grown.resident_mib),
            format!("{:.2}", grown.page_ms),
            format!("{:.1}", grown.whole_list_ms),
            format!("{:.3}", grown.convergence_ms),
            format!("{:.3}", grown.nothing_to_place_ms),
            format!("{:.1}", grown.lost_cell_ms),
        ]);
    }
    println!("{}", finish(rows));
}

async fn list(api: &Api, path: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    surface::call(api, Request::get(path).body(Bytes::new())?).await?;
    Ok(begun.elapsed())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
