//! `bench planner`: how fast the auction decides, by the number of cells and of instances that wait.

use std::{path::PathBuf, time::Instant};

use capstan_model::{
    auction::{Auction, Bidder, Item, Standing, Work, plan},
    ids::{Incarnation, NodeId},
    lrp::{
        actual::{ActualKey, Needs},
        cell::{Capacity, RootfsProviders, Used},
        guid::Guid,
        tag::ModificationTag,
    },
};
use serde::Serialize;

use crate::report::{finish, table, write_json};

/// The zones that the cells are in.
const ZONES: [&str; 3] = ["z1", "z2", "z3"];
/// How often each is planned; the median counts.
const ROUNDS: usize = 5;

/// The arguments of `bench planner`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PlannerArgs {
    /// How many cells there are, in three zones
    #[arg(long, value_delimiter = ',', default_value = "3,10,100,1000")]
    cells: Vec<u64>,
    /// How many instances wait
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    instances: Vec<u32>,
    /// How many instances an LRP has
    #[arg(long, default_value_t = 10)]
    per_lrp: u32,
    /// Where the figures are written as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The plan of one auction.
#[derive(Debug, Serialize)]
struct Planned {
    cells: u64,
    instances: u32,
    ms: f64,
    placements_per_second: f64,
    unplaced: usize,
}

/// Runs the benchmark.
pub(crate) fn run(args: &PlannerArgs) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for &cells in &args.cells {
        for &instances in &args.instances {
            all.push(measure(cells, instances, args.per_lrp.max(1)));
        }
    }
    let mut rows = table(&["cells", "instances", "ms", "placements/s", "unplaced"]);
    for planned in &all {
        rows.add_row([
            planned.cells.to_string(),
            planned.instances.to_string(),
            format!("{:.1}", planned.ms),
            format!("{:.0}", planned.placements_per_second),
            planned.unplaced.to_string(),
        ]);
    }
    println!("{}", finish(rows));
    write_json(args.json.as_deref(), &all)
}

fn measure(cells: u64, instances: u32, per_lrp: u32) -> Planned {
    let mut times = Vec::new();
    let mut unplaced = 0;
    for _ in 0..ROUNDS {
        let mut auction = Auction::new((1..=cells).map(|node| bidder(node, cells, instances)));
        let work = (0..instances).map(|at| waiting(at / per_lrp, at % per_lrp)).collect();
        let begun = Instant::now();
        let outcomes = plan(&mut auction, work);
        times.push(begun.elapsed().as_secs_f64());
        unplaced = outcomes.iter().filter(|outcome| outcome.result.is_err()).count();
    }
    times.sort_by(f64::total_cmp);
    let seconds = times[ROUNDS / 2];
    Planned {
        cells,
        instances,
        ms: seconds * 1_000.0,
        placements_per_second: (instances as usize - unplaced) as f64 / seconds,
        unplaced,
    }
}

/// A cell with room for its share and a half.
fn bidder(node: u64, cells: u64, instances: u32) -> Bidder {
    let share = u32::try_from(u64::from(instances) / cells).expect("no more than all") + 1;
    Bidder {
        life: Incarnation { node: NodeId(node), boot: 1, nonce: node },
        zone: ZONES[node as usize % ZONES.len()].into(),
        capacity: Capacity { memory_mb: share * 192, disk_mb: share * 192, containers: share * 3 / 2 + 1 },
        used: Used::default(),
        rootfs: RootfsProviders { preloaded: vec!["host".into()], schemes: vec![] },
        tasks: 0,
        standing: Standing::Open,
    }
}

fn waiting(lrp: u32, index: u32) -> Work {
    let guid: Guid = format!("lrp-{lrp}").parse().expect("it has letters and digits only");
    Work {
        item: Item::Instance { key: ActualKey { guid, index }, tag: ModificationTag { epoch: 1, index: 0 } },
        needs: Needs { memory_mb: 128, disk_mb: 128 },
        rootfs: "preloaded:host".into(),
    }
}
