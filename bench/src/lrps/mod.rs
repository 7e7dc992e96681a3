//! `bench lrps`: how soon long-running processes run, and run again after what they run on was killed.
//!
//! * [`single`]: LRPs of one instance, started one after the other, and their processes killed. [`nodes`]: nodes full of instances killed.
//! * [`follower`]: the events that tell when an instance runs.

mod follower;
mod nodes;
mod single;

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use hdrhistogram::Histogram;
use nix::unistd::geteuid;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    cluster::ClusterArgs,
    report::{finish, table, write_json},
};

/// How long anything may take before the benchmark gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The arguments of `bench lrps`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LrpsArgs {
    /// How many LRPs of one instance are started, one after the other
    #[arg(long, default_value_t = 200)]
    starts: usize,
    /// How many of their processes are killed, one after the other
    #[arg(long, default_value_t = 100)]
    kills: usize,
    /// How many nodes are killed that do not lead, and how many that do; each in a cluster of its own
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// How many instances such a node has
    #[arg(long, default_value_t = 100)]
    instances: usize,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// What was measured of one kind, in milliseconds.
#[derive(Debug, Serialize)]
struct Row {
    what: &'static str,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    count: u64,
    /// What the 99th percentile may be, where there is a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_ms: Option<u64>,
}

/// Runs the benchmark.
pub(crate) async fn run(args: &LrpsArgs) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    if args.starts > 0 {
        let (starts, kills) = single::measure(args).await?;
        rows.push(Row::of("POST → RUNNING", &starts, Some(100)));
        rows.push(Row::of("its process killed → RUNNING", &kills, None));
    }
    if args.rounds > 0 {
        let others = nodes::measure(args, nodes::Victim::Follower).await?;
        rows.push(Row::of("a node killed → all of it RUNNING elsewhere", &others, Some(6_000)));
        let leaders = nodes::measure(args, nodes::Victim::Leader).await?;
        rows.push(Row::of("the leader killed → all of it RUNNING elsewhere", &leaders, Some(6_000)));
    }
    print(&rows);
    println!("{} instances on each node that was killed", args.instances);
    write_json(args.json.as_deref(), &rows)
}

/// An LRP without a monitor, whose processes leave their ids in `folder`, each in a file named by its instance.
fn desired(guid: &str, instances: usize, folder: &str) -> Bytes {
    let user = if geteuid().is_root() { "root" } else { "anybody" };
    let text = format!("echo $$ > {folder}/$CF_INSTANCE_GUID; exec sleep 100000");
    let body: Value = json!({
        "process_guid": guid,
        "domain": "bench",
        "rootfs": "preloaded:host",
        "instances": instances,
        "memory_mb": 1,
        "action": { "run": { "path": "/bin/sh", "args": ["-c", text], "user": user } },
    });
    Bytes::from(body.to_string())
}

/// Durations up to [`PATIENCE`], in microseconds.
fn histogram() -> Histogram<u64> {
    let longest = u64::try_from(PATIENCE.as_micros()).expect("minutes fit");
    Histogram::new_with_bounds(1, longest, 3).expect("the bounds are in order")
}

fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
}

impl Row {
    fn of(what: &'static str, histogram: &Histogram<u64>, budget_ms: Option<u64>) -> Self {
        let percentile = |percent| histogram.value_at_percentile(percent) as f64 / 1_000.0;
        Self {
            what,
            p50_ms: percentile(50.0),
            p99_ms: percentile(99.0),
            max_ms: percentile(100.0),
            count: histogram.len(),
            budget_ms,
        }
    }
}

fn print(rows: &[Row]) {
    let mut table = table(&["from", "p50 ms", "p99 ms", "max ms", "count", "budget ms"]);
    for row in rows {
        table.add_row([
            row.what.to_owned(),
            format!("{:.1}", row.p50_ms),
            format!("{:.1}", row.p99_ms),
            format!("{:.1}", row.max_ms),
            row.count.to_string(),
            row.budget_ms.map_or_else(|| "-".to_owned(), |budget| budget.to_string()),
        ]);
    }
    println!("{}", finish(table));
}
