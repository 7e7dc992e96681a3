//! `bench against-etcd`: the same load on Capstan and on etcd, in turn, several short rounds of each.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    calls::{self, Kind, NodeCaller},
    cluster::{Cluster, ClusterArgs},
    etcd::{Etcd, Way},
    load::{self, Plan},
    report::{finish, table, write_json},
    throughput::LoadArgs,
};

/// The arguments of `bench against-etcd`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct AgainstEtcdArgs {
    #[command(flatten)]
    load: LoadArgs,
    /// How often each is measured; the medians count
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// etcd's first client port
    #[arg(long, value_name = "PORT", default_value_t = 19_841)]
    etcd_port: u16,
    /// How many gRPC clients share one connection; 1 is what our own clients do
    #[arg(long, value_name = "N", default_value_t = 1)]
    grpc_clients_per_connection: usize,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Calls per second of each round, by what was called, through which way, and by how many clients.
type Samples = BTreeMap<(&'static str, Subject, usize), Vec<f64>>;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Ours,
    EtcdGrpc,
    EtcdJson,
}

/// Medians over the rounds, in calls per second.
#[derive(Debug, Serialize)]
struct Comparison {
    ours: f64,
    /// The faster of the two ways.
    etcd: f64,
    /// Ours by etcd's.
    ratio: f64,
    etcd_grpc: f64,
    etcd_json: f64,
    /// Ours, round by round: how far to trust the medians.
    our_rounds: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct Comparisons {
    writes: BTreeMap<usize, Comparison>,
    reads: BTreeMap<usize, Comparison>,
}

/// Runs the benchmark.
pub(crate) async fn run(args: &AgainstEtcdArgs) -> anyhow::Result<()> {
    let plan = args.load.plan()?;
    let mut samples = Samples::new();
    for round in 1..=args.rounds {
        eprintln!("round {round} of {}: capstan", args.rounds);
        measure_ours(args, plan, &mut samples).await?;
        eprintln!("round {round} of {}: etcd", args.rounds);
        measure_etcd(args, plan, &mut samples).await?;
    }
    let compare = |what| args.load.clients.iter().map(|n| (*n, Comparison::of(&samples, what, *n))).collect();
    let comparisons = Comparisons { writes: compare(WRITES), reads: compare(READS) };
    comparisons.print();
    write_json(args.load.json.as_deref(), &comparisons)
}

const WRITES: &str = "writes";
const READS: &str = "reads";

async fn measure_ours(args: &AgainstEtcdArgs, plan: Plan, samples: &mut Samples) -> anyhow::Result<()> {
    let cluster = Cluster::start(&args.cluster).await?;
    calls::fill(&cluster.addresses).await?;
    for (what, kind) in [(WRITES, Kind::Write), (READS, Kind::Read)] {
        for &clients in &args.load.clients {
            let callers = NodeCaller::spread(kind, clients, &cluster.addresses).await?;
            note(samples, (what, Subject::Ours, clients), callers, plan).await;
        }
    }
    Ok(())
}

async fn measure_etcd(args: &AgainstEtcdArgs, plan: Plan, samples: &mut Samples) -> anyhow::Result<()> {
    let etcd = Etcd::start(args.etcd_port, &args.cluster.data, args.grpc_clients_per_connection).await?;
    etcd.fill().await?;
    for (what, kind) in [(WRITES, Kind::Write), (READS, Kind::Read)] {
        for &clients in &args.load.clients {
            for (subject, way) in [(Subject::EtcdGrpc, Way::Grpc), (Subject::EtcdJson, Way::Json)] {
                let callers = etcd.spread(kind, way, clients).await?;
                note(samples, (what, subject, clients), callers, plan).await;
            }
        }
    }
    Ok(())
}

async fn note<C: load::Caller>(
    samples: &mut Samples,
    key: (&'static str, Subject, usize),
    callers: Vec<C>,
    plan: Plan,
) {
    let (measured, (), ()) = load::run(callers, plan, async || ()).await;
    let (what, subject, clients) = key;
    eprintln!(
        "  {what:6} {clients:4} clients {subject:8?} {:8.0}/s  p50 {:.2} ms  p99 {:.2} ms",
        measured.per_second(),
        measured.percentile_ms(50.0),
        measured.percentile_ms(99.0)
    );
    if let Some(error) = &measured.example {
        eprintln!("  {} calls failed, for example: {error}", measured.errors);
    }
    samples.entry(key).or_default().push(measured.per_second());
}

impl Comparison {
    fn of(samples: &Samples, what: &'static str, clients: usize) -> Self {
        let rounds = |subject| samples.get(&(what, subject, clients)).cloned().unwrap_or_default();
        let our_rounds = rounds(Subject::Ours);
        let ours = median(our_rounds.clone());
        let etcd_grpc = median(rounds(Subject::EtcdGrpc));
        let etcd_json = median(rounds(Subject::EtcdJson));
        let etcd = etcd_grpc.max(etcd_json);
        Self { ours, etcd, ratio: ours / etcd, etcd_grpc, etcd_json, our_rounds }
    }
}

/// The middle one, or the mean of the two in the middle; of nothing, zero.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

impl Comparisons {
    fn print(&self) {
        let headings = ["", "clients", "ours/s", "etcd/s", "ratio", "etcd gRPC/s", "etcd JSON/s"];
        let mut table = table(&headings);
        for (what, runs) in [(WRITES, &self.writes), (READS, &self.reads)] {
            for (clients, run) in runs {
                table.add_row([
                    what.to_owned(),
                    clients.to_string(),
                    format!("{:.0}", run.ours),
                    format!("{:.0}", run.etcd),
                    format!("{:.2}", run.ratio),
                    format!("{:.0}", run.etcd_grpc),
                    format!("{:.0}", run.etcd_json),
                ]);
            }
        }
        println!("{}", finish(table));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_ignores_the_one_that_was_disturbed() {
        let cases = [(vec![], 0.0), (vec![3.0], 3.0), (vec![9.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0], 2.5)];
        for (values, expected) in cases {
            assert_eq!(median(values.clone()), expected, "{values:?}");
        }
    }

    #[test]
    fn the_ratio_is_to_the_faster_way() {
        let samples = Samples::from([
            ((WRITES, Subject::Ours, 1), vec![300.0, 500.0, 400.0]),
            ((WRITES, Subject::EtcdGrpc, 1), vec![100.0]),
            ((WRITES, Subject::EtcdJson, 1), vec![200.0]),
        ]);
        let comparison = Comparison::of(&samples, WRITES, 1);
        assert_eq!((comparison.ours, comparison.etcd, comparison.ratio), (400.0, 200.0, 2.0));
    }
}
