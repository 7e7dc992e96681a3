//! `bench requests`: requests of jobs that take no time, from their creation to the end of the last.

use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use capstan_client::spin_cycle::{Request, State};
use futures::future::try_join_all;
use hdrhistogram::Histogram;
use http::Method;
use serde::Serialize;
use serde_json::json;
use tokio::time::sleep;

use crate::{
    cluster::{Cluster, ClusterArgs, ReadyNode},
    http_client::HttpClient,
    report::{finish, table, write_json},
};

/// What Spin Cycle finishes in a second, with MariaDB on the same kind of machine: requests of one `sleep` of 0 ms each.
const SPIN_CYCLE_PER_SECOND: f64 = 170.0;
/// How often to look whether all requests have ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long the requests of one case may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// The specs of what is started.
const SPECS: &str = include_str!("requests.yaml");

/// The arguments of `bench requests`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RequestsArgs {
    /// How many requests of one job each are started; of larger ones fewer
    #[arg(long, default_value_t = 10_000)]
    requests: usize,
    /// How many clients start them
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Also write the figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Requests of one kind.
struct Case {
    name: &'static str,
    /// The name of the spec.
    kind: &'static str,
    /// How many jobs are made of a list that is an arg.
    listed: usize,
    /// How many requests are started.
    requests: usize,
}

/// What came of a case.
#[derive(Debug, Serialize)]
struct Ran {
    case: &'static str,
    requests: usize,
    /// Jobs of one request, those at the ends of its sequences included.
    jobs: u64,
    created_per_second: f64,
    finished_per_second: f64,
    jobs_per_second: f64,
    /// From the creation of a request to its end, in milliseconds.
    p50_ms: f64,
    p99_ms: f64,
    /// The slowest answer to a creation, in milliseconds.
    create_max_ms: f64,
    /// Bytes that all nodes together had the disk write, for each job.
    written_per_job: f64,
    /// The largest resident memory of a node before and after, in MiB.
    memory_before_mib: f64,
    memory_after_mib: f64,
}

#[derive(Debug, Serialize)]
struct RequestsReport {
    cases: Vec<Ran>,
    /// Finished requests of one `sleep` a second, against Spin Cycle's.
    ratio_to_spin_cycle: f64,
}

/// Runs the benchmark.
pub(crate) async fn run(args: &RequestsArgs) -> anyhow::Result<()> {
    let case = |name, kind, listed, requests: usize| Case { name, kind, listed, requests: requests.max(1) };
    let cases = [
        case("one sleep", "one-sleep", 0, args.requests),
        case("one process", "one-process", 0, args.requests / 10),
        case("10 in sequence", "ten-in-sequence", 0, args.requests / 10),
        case("10 in parallel", "many-in-parallel", 10, args.requests / 10),
        case("100 in parallel", "many-in-parallel", 100, args.requests / 100),
        case("1,000 in parallel", "many-in-parallel", 1_000, args.requests / 1_000),
        // With the jobs around them, as many as one request may have.
        case("9,990 in parallel", "many-in-parallel", 9_990, 1),
    ];
    let mut cluster = Cluster::start_with_specs(&args.cluster, SPECS).await?;
    let mut ran = Vec::new();
    for case in cases {
        ran.push(case.run(&cluster, args.clients).await.context(case.name)?);
        cluster.check()?;
    }
    let ratio_to_spin_cycle = ran[0].finished_per_second / SPIN_CYCLE_PER_SECOND;
    let report = RequestsReport { cases: ran, ratio_to_spin_cycle };
    report.print();
    write_json(args.json.as_deref(), &report)
}

impl Case {
    async fn run(&self, cluster: &Cluster, clients: usize) -> anyhow::Result<Ran> {
        let nodes = cluster.processes()?;
        let (memory_before_mib, written_before) = (memory_mib(&nodes)?, bytes_written(&nodes)?);
        let begun = Instant::now();
        let create_max = self.create(&cluster.addresses, clients).await?;
        let created = begun.elapsed();
        self.wait(&cluster.addresses).await?;
        let finished = begun.elapsed();
        let written = bytes_written(&nodes)? - written_before;
        let requests = self.ended(cluster.addresses[0]).await?;
        let jobs = requests[0].total_jobs;
        let mut took = Histogram::<u64>::new(3)?;
        for request in &requests {
            ensure!(request.state == State::Complete, "request {} ended {}", request.id, request.state);
            let end = request.finished_at.context("an ended request has an end")?;
            took.record(u64::try_from(end.unix_nanos() - request.created_at.unix_nanos())? / 1_000)?;
        }
        let count = self.requests as f64;
        Ok(Ran {
            case: self.name,
            requests: self.requests,
            jobs,
            created_per_second: count / created.as_secs_f64(),
            finished_per_second: count / finished.as_secs_f64(),
            jobs_per_second: count * jobs as f64 / finished.as_secs_f64(),
            p50_ms: took.value_at_quantile(0.5) as f64 / 1e3,
            p99_ms: took.value_at_quantile(0.99) as f64 / 1e3,
            create_max_ms: create_max.as_secs_f64() * 1e3,
            written_per_job: written as f64 / (count * jobs as f64),
            memory_before_mib,
            memory_after_mib: memory_mib(&nodes)?,
        })
    }

    /// Starts all requests, the clients spread over the nodes; returns how long the slowest answer took.
    async fn create(&self, nodes: &[SocketAddr], clients: usize) -> anyhow::Result<Duration> {
        let args = match self.listed {
            0 => json!({}),
            count => json!({ "durations": vec!["0"; count] }),
        };
        let body = Bytes::from(json!({ "type": self.kind, "args": args }).to_string());
        let clients = clients.min(self.requests);
        let shares = (0..clients).map(|client| {
            let share = self.requests / clients + usize::from(client < self.requests % clients);
            let (mut http, body) = (HttpClient::json(nodes[client % nodes.len()]), body.clone());
            async move {
                let mut slowest = Duration::ZERO;
                for _ in 0..share {
                    let asked = Instant::now();
                    http.succeed(Method::POST, "/api/v1/requests", body.clone()).await?;
                    slowest = slowest.max(asked.elapsed());
                }
                anyhow::Ok(slowest)
            }
        });
        Ok(try_join_all(shares).await?.into_iter().max().unwrap_or_default())
    }

    /// Waits until none of them is live.
    async fn wait(&self, nodes: &[SocketAddr]) -> anyhow::Result<()> {
        let mut http = HttpClient::new(nodes[0]);
        let path = format!(
            "/api/v1/requests?type={}&state=PENDING&state=RUNNING&state=SUSPENDED&limit=1",
            self.kind
        );
        let begun = Instant::now();
        while http.succeed(Method::GET, &path, Bytes::new()).await? != "[]\n" {
            ensure!(begun.elapsed() < PATIENCE, "not all requests ended within {PATIENCE:?}");
            sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    /// The newest requests of this kind, as many as were started.
    async fn ended(&self, node: SocketAddr) -> anyhow::Result<Vec<Request>> {
        let path = format!("/api/v1/requests?type={}&limit={}", self.kind, self.requests);
        let body = HttpClient::new(node).succeed(Method::GET, &path, Bytes::new()).await?;
        let requests: Vec<Request> = serde_json::from_slice(&body)?;
        ensure!(requests.len() == self.requests, "{} requests are listed", requests.len());
        Ok(requests)
    }
}

/// What the kernel counts of what the nodes wrote to the disk.
fn bytes_written(nodes: &[ReadyNode]) -> anyhow::Result<u64> {
    let written = |node: &ReadyNode| number_in(&format!("/proc/{}/io", node.pid), "write_bytes:");
    nodes.iter().map(written).sum()
}

/// The largest resident memory of a node.
fn memory_mib(nodes: &[ReadyNode]) -> anyhow::Result<f64> {
    let resident = |node: &ReadyNode| number_in(&format!("/proc/{}/status", node.pid), "VmRSS:");
    let largest = nodes.iter().map(resident).collect::<Result<Vec<_>, _>>()?.into_iter().max();
    Ok(largest.context("a cluster has nodes")? as f64 / 1_024.0)
}

fn number_in(path: &str, label: &str) -> anyhow::Result<u64> {
    let text = fs::read_to_string(path).with_context(|| path.to_owned())?;
    let number = text.lines().find_map(|line| line.strip_prefix(label)?.split_whitespace().next());
    Ok(number.with_context(|| format!("{path} has no {label}"))?.parse()?)
}

impl RequestsReport {
    fn print(&self) {
        let mut table = table(&[
            "case",
            "requests",
            "jobs each",
            "created/s",
            "finished/s",
            "jobs/s",
            "p50 ms",
            "p99 ms",
            "slowest POST ms",
            "bytes/job",
            "MiB before",
            "MiB after",
        ]);
        for ran in &self.cases {
            table.add_row([
                ran.case.to_owned(),
                ran.requests.to_string(),
                ran.jobs.to_string(),
                format!("{:.0}", ran.created_per_second),
                format!("{:.1}", ran.finished_per_second),
                format!("{:.0}", ran.jobs_per_second),
                format!("{:.1}", ran.p50_ms),
                format!("{:.1}", ran.p99_ms),
                format!("{:.1}", ran.create_max_ms),
                format!("{:.0}", ran.written_per_job),
                format!("{:.0}", ran.memory_before_mib),
                format!("{:.0}", ran.memory_after_mib),
            ]);
        }
        println!("{}", finish(table));
        let ratio = self.ratio_to_spin_cycle;
        println!("requests of one sleep: {ratio:.1} times Spin Cycle's {SPIN_CYCLE_PER_SECOND} a second");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specs_are_valid() {
        let specs = capstan_model::spec::Specs::load([("requests.yaml", SPECS)]).unwrap();
        assert_eq!(specs.request_list().len(), 4);
        assert_eq!(specs.warnings(), []);
    }
}
