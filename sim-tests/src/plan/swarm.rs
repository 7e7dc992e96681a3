//! Draws plans. Runs differ in more than their choices: each leaves out some kinds of calls and faults and has much of others, for what is
//! never drawn together is never seen together.

use std::time::Duration;

use capstan_raft_store::timing::Timing;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{Heal, Plan};
use crate::{
    auth_load::AuthLoad,
    events::TailLoad,
    faults::{self, Swarm},
    lrps::{CellLoad, LrpLoad, Mix},
    net::Latency,
    probes::Buggify,
    requests::{RequestLoad, beyond::BeyondLoad},
    retention::RetentionLoad,
    specs_load::SpecLoad,
    workload::Load,
};

/// What tailers follow from beside the seed: a draw of theirs changes nothing else.
const TAILING: u64 = 0x7a11;
/// The same of those that use what requests have beyond Spin Cycle.
const BEYOND: u64 = 0xbe70;
/// The same of those that change specs.
const SPECS: u64 = 0x5bec;
/// The same of those that give out tokens.
const AUTH: u64 = 0xa07b;
/// The same of those that look at finished requests.
const RETENTION: u64 = 0x2e7e;

pub(super) fn draw(seed: u64) -> Plan {
    let mut rng = SmallRng::seed_from_u64(seed);
    let nodes = match rng.random_range(0..100) {
        0..5 => 1,
        5..65 => 3,
        65..95 => 5,
        _ => 7,
    };
    let safety = Duration::from_secs_f64(log_uniform(&mut rng, 20.0, 120.0).round());
    let heal = if rng.random_bool(0.5) { Heal::All } else { Heal::CoreFirst };
    let latency = match rng.random_range(0..10) {
        0..7 => Latency::Lan,
        7..9 => Latency::Wan,
        _ => Latency::Spiky,
    };
    let timing = timing(&mut rng, latency);
    let is_faultless = rng.random_bool(0.1);
    // A majority alone is healed by breaking the others.
    let heal = if is_faultless { Heal::All } else { heal };
    let buggify =
        if is_faultless || rng.random_bool(0.3) { Buggify::Off } else { Buggify::Seeded(rng.random()) };
    let swarm = Swarm { seed: rng.random(), time: safety, nodes, timing: timing.clone() };
    let schedule = if is_faultless { Vec::new() } else { faults::schedule(&swarm) };
    let specs = SpecLoad::draw(seed ^ SPECS);
    Plan {
        seed,
        nodes,
        safety,
        heal,
        latency,
        load: load(&mut rng),
        requests: requests(&mut rng),
        beyond: BeyondLoad::draw(seed ^ BEYOND),
        tailing: TailLoad::draw(seed ^ TAILING),
        retention: RetentionLoad::draw(seed ^ RETENTION),
        // What tokens are asked for is in the files that nodes seed a cluster with.
        auth: if specs.is_seeded { AuthLoad::draw(seed ^ AUTH) } else { AuthLoad::default() },
        specs,
        specs_seed: rng.random(),
        lrps: lrps(&mut rng, nodes),
        timing,
        buggify,
        schedule,
    }
}

fn load(rng: &mut SmallRng) -> Load {
    Load {
        clients: rng.random_range(2..=6),
        keys: rng.random_range(1..=5),
        think_max: Duration::from_millis(10 << rng.random_range(0..7)),
    }
}

fn requests(rng: &mut SmallRng) -> RequestLoad {
    RequestLoad {
        clients: if rng.random_bool(0.15) { 0 } else { rng.random_range(1..=4) },
        think_max: Duration::from_millis(500 << rng.random_range(0..4)),
        run_max: Duration::from_millis(50 << rng.random_range(0..7)),
        long_odds: if rng.random_bool(0.5) { 0.0 } else { rng.random_range(0.1..0.6) },
        slots: rng.random_range(2..=8),
    }
}

/// A third of the runs have none.
fn lrps(rng: &mut SmallRng, nodes: u64) -> LrpLoad {
    let mut weight = |odds, most| if rng.random_bool(odds) { rng.random_range(1..=most) } else { 0 };
    let mix = Mix {
        desire: 8,
        scale: weight(0.8, 8),
        kill: weight(0.7, 4),
        remove: weight(0.7, 3),
        domain: weight(0.5, 4),
        task: weight(0.6, 6),
        look: weight(0.7, 6),
    };
    let instances_max = rng.random_range(1..=6);
    let cells = CellLoad {
        zones: rng.random_range(1..=nodes),
        memory_mb: 1 << rng.random_range(8..12),
        disk_mb: 1 << rng.random_range(9..13),
        containers: rng.random_range(2..=16),
    };
    LrpLoad {
        clients: if rng.random_bool(0.35) { 0 } else { rng.random_range(1..=3) },
        names: rng.random_range(1..=6),
        instances_max,
        think_max: Duration::from_millis(1_000 << rng.random_range(0..4)),
        mix,
        cells,
    }
}

/// Half of the runs have the periods that nodes have unless told otherwise.
fn timing(rng: &mut SmallRng, latency: Latency) -> Timing {
    let mut timing = Timing::default();
    if latency != Latency::Lan || rng.random_bool(0.5) {
        let heartbeat = match latency {
            Latency::Lan => log_uniform(rng, 0.05, 0.5),
            Latency::Wan | Latency::Spiky => log_uniform(rng, 0.2, 0.5),
        };
        let millis = |secs: f64| Duration::from_millis((secs * 1_000.0).round() as u64);
        timing.raft_heartbeat = millis(heartbeat);
        timing.election_min = millis(heartbeat * rng.random_range(2.0..3.0));
        timing.election_max = millis(heartbeat * rng.random_range(4.0..10.0));
        timing.ack_age_max = millis(heartbeat * rng.random_range(5.0..6.0));
        timing.node_heartbeat = millis(rng.random_range(0.2..0.8));
    }
    // A heartbeat, its answer, and another one that replaces a lost one fit into a lease.
    let lease_least = 3 * (timing.node_heartbeat + latency.most());
    timing.lease = lease_least + Duration::from_millis(rng.random_range(0..=4_000));
    // The shortest that `Timing::check` allows, and up to a third longer.
    let needed =
        (timing.ack_age_max + timing.lease + timing.kill).mul_f64(1.1 / 0.9 * rng.random_range(1.001..1.3));
    timing.owner_lost_after = Duration::from_millis(needed.as_millis() as u64 + 1);
    // A network that loses single messages and keeps the connection costs as long as this, when it loses one of a snapshot's.
    timing.snapshot_step = Duration::from_millis(rng.random_range(1_000..=5_000));
    timing.snapshot_bytes = 1 << rng.random_range(9..17);
    timing.snapshot_every = Duration::from_secs(rng.random_range(3..60));
    // A follower that lags by more needs a snapshot.
    timing.log_kept = if rng.random_bool(0.6) { 0 } else { 1 << rng.random_range(2..9) };
    timing.check().expect("the periods are drawn so that they fit together");
    timing
}

/// As likely between 1 and 2 as between 10 and 20.
fn log_uniform(rng: &mut SmallRng, least: f64, most: f64) -> f64 {
    rng.random_range(least.ln()..most.ln()).exp()
}
