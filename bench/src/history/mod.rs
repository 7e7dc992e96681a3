//! `bench history`: what many finished requests cost a node in memory and on disk, to find, to start with and to let go.
//!
//! One store in this process, with the HTTP surface over it. Requests are created and their jobs reported to have ended by commands, as a
//! node does it, on a clock that spreads them over thirty days.

mod queries;
mod shelf;

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use capstan_api::Api;
use capstan_node::clock::SystemClock;
use capstan_raft_store::ports::Clock;
use hdrhistogram::Histogram;
use http::Request;
use serde::{Deserialize, Serialize};
use tokio::{task, time::sleep};

use self::{
    queries::{QUERIES, Query},
    shelf::{Shelf, SpreadClock},
};
use crate::{
    report::{finish, table, write_json},
    scratch::Scratch,
    stores::{self, Store},
    surface,
};

/// How long a store that was stopped may hold its files.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often to look whether it still does.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The arguments of `bench history`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct HistoryArgs {
    /// At how many finished requests to measure, in growing order
    #[arg(long, value_delimiter = ',', default_value = "10000,100000,1000000")]
    at: Vec<u64>,
    /// How often each list is asked for, with other values each time
    #[arg(long, default_value_t = 300)]
    rounds: u32,
    /// Where data is kept meanwhile: about 3 GB for a million
    #[arg(long, value_name = "DIR", default_value = "/tmp")]
    dir: PathBuf,
    /// Where the figures are written as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only start with the data in this folder, and tell what that took
    #[arg(long, value_name = "DIR", hide = true)]
    started_with: Option<PathBuf>,
}

/// How it is with a number of finished requests.
#[derive(Debug, Serialize)]
struct Grown {
    requests: u64,
    /// Requests created and ended per second, from the number before.
    filled_per_second: f64,
    /// What is in memory when the last of them has ended: of what was written there is still much in caches.
    resident_filled_mib: f64,
    disk_mib: f64,
    started: Started,
    lists: Vec<Listed>,
}

/// A process that starts with what another has left.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    /// From the start of the store until it is admitted, its own election included.
    ms: f64,
    /// What is in memory then, and when some lists have been asked for.
    resident_mib: f64,
}

/// How long a list took.
#[derive(Debug, Serialize)]
struct Listed {
    name: &'static str,
    p50_ms: f64,
    p99_ms: f64,
}

/// Requests that left.
#[derive(Debug, Serialize)]
struct Trimmed {
    requests: u64,
    per_second: f64,
    /// The longest from a proposal to its commit.
    longest_ms: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    grown: Vec<Grown>,
    trimmed: Trimmed,
}

/// Runs the benchmark.
pub(crate) async fn run(args: &HistoryArgs) -> anyhow::Result<()> {
    if let Some(folder) = &args.started_with {
        return start_and_tell(folder).await;
    }
    let last = *args.at.last().context("no number of requests to measure at")?;
    ensure!(args.at.is_sorted() && args.rounds > 0, "--at is to grow, and --rounds to be positive");
    let scratch = Scratch::below(&args.dir)?;
    let clock = Arc::new(SpreadClock::over_thirty_days(last));
    let (mut shelf, mut grown) = (Shelf::new(clock.clone())?, Vec::new());
    for &requests in &args.at {
        let (store, _) = start(scratch.path(), clock.clone()).await?;
        let (begun, before) = (Instant::now(), shelf.count());
        shelf.fill(&store.handle, requests).await?;
        let filled_per_second = (requests - before) as f64 / begun.elapsed().as_secs_f64();
        eprintln!("{requests} requests have ended");
        let resident_filled_mib = resident_mib()?;
        store.stop().await;
        drop(store);
        let started = start_elsewhere(scratch.path()).await?;
        let (store, _) = start(scratch.path(), clock.clone()).await?;
        let api = surface::over(&store.handle);
        let mut lists = Vec::new();
        for query in QUERIES {
            lists.push(measure(&api, &shelf, query, args.rounds).await.context(query.name)?);
        }
        store.stop().await;
        let disk_mib = size(scratch.path())? as f64 / MIB;
        grown.push(Grown { requests, filled_per_second, resident_filled_mib, disk_mib, started, lists });
    }
    let (store, _) = start(scratch.path(), clock).await?;
    let trimmed = shelf.trim(&store.handle, (last / 10).max(1)).await?;
    store.stop().await;
    let report = Report { grown, trimmed };
    report.print();
    write_json(args.json.as_deref(), &report)
}

const MIB: f64 = 1024.0 * 1024.0;

/// Starts the store as soon as its former life has let go of its files, and says how long that took then.
async fn start(folder: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<(Store, Duration)> {
    let first = Instant::now();
    loop {
        let begun = Instant::now();
        let error = match stores::start_on(folder, 1, clock.clone()).await {
            Ok(mut stores) => {
                return Ok((stores.pop().context("one store was started")?, begun.elapsed()));
            }
            Err(error) => error,
        };
        let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
        let is_held = causes.any(|cause| cause.kind() == io::ErrorKind::ResourceBusy);
        if !is_held || first.elapsed() > PATIENCE {
            return Err(error.context("the store does not start"));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Has another process start with the data in a folder, so that what it has in memory is all its own.
async fn start_elsewhere(folder: &Path) -> anyhow::Result<Started> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["history", "--started-with"]).arg(folder);
    let output = task::spawn_blocking(move || command.output()).await??;
    let told = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the process that was to start: {told}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What that process does.
async fn start_and_tell(folder: &Path) -> anyhow::Result<()> {
    let (store, took) = start(folder, Arc::new(SystemClock)).await?;
    let api = surface::over(&store.handle);
    for path in ["/api/v1/requests?limit=10", "/api/v1/requests?state=FAIL&limit=1000"] {
        surface::call(&api, Request::get(path).body(Bytes::new())?).await?;
    }
    let started = Started { ms: ms(took), resident_mib: resident_mib()? };
    println!("{}", serde_json::to_string(&started)?);
    store.stop().await;
    Ok(())
}

async fn measure(api: &Api, shelf: &Shelf, query: &Query, rounds: u32) -> anyhow::Result<Listed> {
    let rounds = if query.is_slow { rounds.div_ceil(20) } else { rounds };
    let mut took = Histogram::<u64>::new(3)?;
    for round in 0..rounds {
        let path = (query.path)(shelf, round);
        let begun = Instant::now();
        let answer = surface::call(api, Request::get(&path).body(Bytes::new())?).await.context(path)?;
        took.record(u64::try_from(begun.elapsed().as_micros())?)?;
        let found: Vec<serde_json::Value> = serde_json::from_slice(answer.body())?;
        ensure!(query.finds.contains(&found.len()), "it found {} requests", found.len());
    }
    let at = |quantile| took.value_at_quantile(quantile) as f64 / 1e3;
    Ok(Listed { name: query.name, p50_ms: at(0.5), p99_ms: at(0.99) })
}

/// What of this process is in memory.
fn resident_mib() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line.and_then(|line| line.trim().strip_suffix(" kB")).context("no VmRSS")?.parse()?;
    Ok(kib / 1_024.0)
}

/// The bytes of all files below a folder; one that several names lead to counts once.
fn size(folder: &Path) -> anyhow::Result<u64> {
    use std::os::unix::fs::MetadataExt;

    let (mut folders, mut seen, mut bytes) = (vec![folder.to_owned()], std::collections::BTreeSet::new(), 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // A database removes files in the background.
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                folders.push(entry.path());
            } else if seen.insert(metadata.ino()) {
                bytes += metadata.len();
            }
        }
    }
    Ok(bytes)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

impl Report {
    fn print(&self) {
        let heads = ["requests", "filled/s", "filled MiB", "disk MiB", "started MiB", "start ms"];
        let mut rows = table(&heads);
        for grown in &self.grown {
            rows.add_row([
                grown.requests.to_string(),
                format!("{:.0}", grown.filled_per_second),
                format!("{:.0}", grown.resident_filled_mib),
                format!("{:.0}", grown.disk_mib),
                format!("{:.0}", grown.started.resident_mib),
                format!("{:.0}", grown.started.ms),
            ]);
        }
        println!("{}", finish(rows));
        let of_each = self
            .grown
            .iter()
            .flat_map(|grown| [format!("{} p50 ms", grown.requests), format!("{} p99 ms", grown.requests)]);
        let heads: Vec<String> = std::iter::once("list".to_owned()).chain(of_each).collect();
        let mut rows = table(&heads.iter().map(String::as_str).collect::<Vec<_>>());
        for (place, query) in QUERIES.iter().enumerate() {
            let figures = self.grown.iter().flat_map(|grown| {
                let listed = &grown.lists[place];
                [format!("{:.2}", listed.p50_ms), format!("{:.2}", listed.p99_ms)]
            });
            rows.add_row(std::iter::once(query.name.to_owned()).chain(figures).collect::<Vec<_>>());
        }
        println!("{}", finish(rows));
        let Trimmed { requests, per_second, longest_ms } = &self.trimmed;
        println!("{requests} left, {per_second:.0} a second, the longest commit {longest_ms:.1} ms");
    }
}
