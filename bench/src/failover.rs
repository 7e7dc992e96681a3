//! `bench failover`: kills the leader again and again under load, and measures how long nobody can write.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use http::Method;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde::Serialize;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    calls,
    cluster::{Cluster, ClusterArgs},
    http_client::HttpClient,
    report::{finish, table, write_json},
    workload::Workload,
};

/// How long a writer waits before it tries the next node.
const RETRY_EVERY: Duration = Duration::from_millis(20);
/// How long the first write after a kill may take before the benchmark gives up.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long all nodes have been ready again when the next leader is killed.
const QUIET: Duration = Duration::from_millis(500);

/// The arguments of `bench failover`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct FailoverArgs {
    /// How many times the leader is killed
    #[arg(long, default_value_t = 20)]
    kills: u64,
    /// How many writers
    #[arg(long, default_value_t = 16)]
    writers: usize,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Pauses, in milliseconds from the kill.
#[derive(Debug, Serialize)]
struct Pauses {
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    count: u64,
}

#[derive(Debug, Serialize)]
struct FailoverReport {
    kills: u64,
    writers: usize,
    /// Until the first write that was begun after the kill succeeded anywhere.
    next_write: Pauses,
    /// The same for each writer.
    each_writer: Pauses,
}

/// A writer's first success among the writes it began after a kill.
struct Resumed {
    kill: u64,
    at: Instant,
}

/// Runs the benchmark.
pub(crate) async fn run(args: &FailoverArgs) -> anyhow::Result<()> {
    let mut cluster = Cluster::start(&args.cluster).await?;
    let kills = Arc::new(AtomicU64::new(0));
    let (tell, mut resumed) = mpsc::unbounded_channel();
    // Dropped at the end, the set ends its writers.
    let mut writers = JoinSet::new();
    for writer in 0..args.writers {
        let nodes = cluster.addresses.iter().map(|address| HttpClient::new(*address)).collect();
        writers.spawn(write(writer, nodes, Arc::clone(&kills), tell.clone()));
    }
    drop(tell);
    let mut next_write = histogram();
    let mut each_writer = histogram();
    for number in 1..=args.kills {
        sleep(QUIET).await;
        let leader = cluster.wait_until_settled().await?;
        let processes = cluster.processes()?;
        let process = processes.iter().find(|node| node.id == leader).context("the leader has a process")?;
        let killed = Instant::now();
        kill(Pid::from_raw(process.pid), Signal::SIGKILL)?;
        kills.store(number, Ordering::SeqCst);
        let mut first = None;
        for _ in 0..args.writers {
            let at = resume(&mut resumed, number).await?;
            let pause_ms = u64::try_from((at - killed).as_millis())?;
            each_writer.saturating_record(pause_ms);
            first = first.min(Some(pause_ms)).or(Some(pause_ms));
        }
        next_write.saturating_record(first.context("there is a writer")?);
        wait_for_restart(&mut cluster, leader, process.pid).await?;
    }
    writers.shutdown().await;
    let report = FailoverReport {
        kills: args.kills,
        writers: args.writers,
        next_write: Pauses::of(&next_write),
        each_writer: Pauses::of(&each_writer),
    };
    report.print();
    write_json(args.json.as_deref(), &report)
}

/// Writes without end; reports the first success after each kill.
async fn write(
    writer: usize,
    mut nodes: Vec<HttpClient>,
    kills: Arc<AtomicU64>,
    tell: mpsc::UnboundedSender<Resumed>,
) {
    let mut workload = Workload::new(writer as u64);
    let mut node = writer % nodes.len();
    let mut told = 0;
    loop {
        let begun_after = kills.load(Ordering::SeqCst);
        let path = calls::path(&workload.key());
        match nodes[node].succeed(Method::PUT, &path, workload.value()).await {
            Ok(_) if begun_after > told => {
                told = begun_after;
                if tell.send(Resumed { kill: told, at: Instant::now() }).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(_try_the_next) => {
                node = (node + 1) % nodes.len();
                sleep(RETRY_EVERY).await;
            }
        }
    }
}

async fn resume(resumed: &mut mpsc::UnboundedReceiver<Resumed>, number: u64) -> anyhow::Result<Instant> {
    let next = timeout(PAUSE_MAX, resumed.recv()).await;
    let next = next.with_context(|| format!("no write succeeded within {PAUSE_MAX:?} of kill {number}"))?;
    let Resumed { kill, at } = next.context("the writers have ended")?;
    ensure!(kill == number, "a writer speaks of kill {kill} after kill {number}");
    Ok(at)
}

/// Waits until the supervisor has started the node again.
async fn wait_for_restart(cluster: &mut Cluster, node: u64, dead: i32) -> anyhow::Result<()> {
    let restarted = async {
        while cluster.processes()?.iter().any(|process| process.id == node && process.pid == dead) {
            cluster.check()?;
            sleep(RETRY_EVERY).await;
        }
        anyhow::Ok(())
    };
    timeout(PAUSE_MAX, restarted).await.context("the killed node was not started again")?
}

impl Pauses {
    fn of(histogram: &Histogram<u64>) -> Self {
        let percentile = |percent| histogram.value_at_percentile(percent) as f64;
        Self {
            p50_ms: percentile(50.0),
            p90_ms: percentile(90.0),
            p99_ms: percentile(99.0),
            max_ms: histogram.max() as f64,
            count: histogram.len(),
        }
    }
}

impl FailoverReport {
    fn print(&self) {
        let mut table = table(&["pause until", "p50 ms", "p90 ms", "p99 ms", "max ms", "count"]);
        for (name, pauses) in
            [("the next write", &self.next_write), ("each writer's next", &self.each_writer)]
        {
            table.add_row([
                name.to_owned(),
                format!("{:.0}", pauses.p50_ms),
                format!("{:.0}", pauses.p90_ms),
                format!("{:.0}", pauses.p99_ms),
                format!("{:.0}", pauses.max_ms),
                pauses.count.to_string(),
            ]);
        }
        println!("{}", finish(table));
        println!("{} kills of the leader under {} writers", self.kills, self.writers);
    }
}

fn histogram() -> Histogram<u64> {
    let longest = u64::try_from(PAUSE_MAX.as_millis()).expect("seconds fit");
    Histogram::new_with_bounds(1, longest, 3).expect("the bounds are in order")
}
