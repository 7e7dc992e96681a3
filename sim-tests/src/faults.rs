//! What goes wrong, and when: a schedule drawn from the seed before the run begins.
//!
//! Whom a fault hits is decided when it strikes, because the leader of that moment is not known before.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::{
    disk::{DiskManner, Loss},
    net::{CLIENTS, Place, Rule},
    trace::Trace,
    world::{World, nodes},
};

/// Whom a fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Target {
    /// Who leads then; node 1 when nobody does.
    Leader,
    /// Some other node than the leader.
    Follower(u64),
    /// This node.
    Node(Place),
}

/// Something that goes wrong for a while.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Fault {
    /// A process is killed, and started again at the end.
    Kill(Target),
    /// A machine loses its power.
    PowerLoss(Target),
    /// All machines lose their power.
    TotalPowerLoss,
    /// All disks are slow; at the first write acknowledged meanwhile all machines lose their power.
    PowerLossAtAcknowledgement,
    /// A node is cut off from the others, not from clients.
    Isolate(Target),
    /// A node hears the others, and is not heard.
    Mute(Target),
    /// A node is heard, and hears nobody.
    Deafen(Target),
    /// Every message is lost with this probability.
    Loss(f64),
    /// Every message arrives twice with this probability.
    Duplicate(f64),
    /// Every message takes up to so many milliseconds longer.
    Delay(u64),
    /// Every sync of a node's disk takes up to so many milliseconds.
    SlowDisk(Target, u64),
    /// The next sync of a node's disk fails.
    DiskError(Target),
    /// A node's processor stands still.
    Pause(Target),
    /// A node's wall clock is off by so many milliseconds.
    ClockOff(Target, i64),
}

/// A fault with its time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Planned {
    /// When it begins, after the start of the run.
    pub at: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    /// What it is.
    pub fault: Fault,
}

/// The kinds that a schedule draws from.
const KINDS: u32 = 15;

/// Draws a schedule for a time. One run in ten has none, each kind is in about half of the others.
pub fn schedule(seed: u64, time: Duration) -> Vec<Planned> {
    let mut rng = SmallRng::seed_from_u64(seed);
    if rng.random_bool(0.1) {
        return Vec::new();
    }
    let kinds: Vec<u32> = (0..KINDS).filter(|_| rng.random_bool(0.5)).collect();
    let gap_ms_max = rng.random_range(500..6_000_u64);
    let mut planned = Vec::new();
    let mut at = Duration::from_secs(2);
    while !kinds.is_empty() {
        at += Duration::from_millis(rng.random_range(100..=gap_ms_max));
        if at >= time {
            break;
        }
        let longest_ms = if rng.random_bool(0.1) { 20_000 } else { 4_000 };
        let lasts = Duration::from_millis(rng.random_range(50..longest_ms));
        let fault = draw(kinds[rng.random_range(0..kinds.len())], &mut rng);
        planned.push(Planned { at, lasts, fault });
    }
    planned
}

fn draw(kind: u32, rng: &mut SmallRng) -> Fault {
    let target = match rng.random_range(0..4) {
        0 | 1 => Target::Leader,
        2 => Target::Follower(rng.random_range(0..2)),
        _ => Target::Node(rng.random_range(nodes())),
    };
    match kind {
        0 => Fault::Kill(target),
        1 => Fault::PowerLoss(target),
        2 => Fault::TotalPowerLoss,
        3 | 4 => Fault::PowerLossAtAcknowledgement,
        5 => Fault::Isolate(target),
        6 => Fault::Mute(target),
        7 => Fault::Deafen(target),
        8 => Fault::Loss(rng.random_range(0.01..0.3)),
        9 => Fault::Duplicate(rng.random_range(0.01..0.5)),
        10 => Fault::Delay(rng.random_range(5..300)),
        11 => Fault::SlowDisk(target, rng.random_range(20..800)),
        12 => Fault::DiskError(target),
        13 => Fault::Pause(target),
        _ => Fault::ClockOff(target, rng.random_range(-3_600_000..3_600_000)),
    }
}

/// Carries a schedule out, and ends every fault that ends by itself at its time. Dropped, it begins and ends nothing more.
pub async fn carry_out(world: World, trace: std::sync::Arc<Trace>, schedule: Vec<Planned>) {
    let start = tokio::time::Instant::now();
    let mut under_way = JoinSet::new();
    for (number, planned) in (1..).zip(schedule) {
        tokio::time::sleep_until(start + planned.at).await;
        let shown = serde_json::to_string(&planned.fault).expect("faults are serialisable");
        trace.event(0, "fault", &[number], shown.as_bytes());
        under_way.spawn_local(one(world.clone(), number, planned));
    }
    under_way.join_all().await;
}

/// Ends whatever is wrong.
pub fn heal(world: &World) {
    world.machines.net.heal();
    for node in nodes() {
        world.machines.disk(node).set_manner(DiskManner::default());
        world.machines.set_clock(node, 0);
        world.set_paused(node, false);
    }
    world.machines.oracle.at_next_acknowledgement(Box::new(|| {}));
    world.boot_all();
}

async fn one(world: World, number: u64, planned: Planned) {
    let lasts = planned.lasts;
    match planned.fault {
        Fault::Kill(target) => strike(&world, target, Loss::Process, lasts),
        Fault::PowerLoss(target) => strike(&world, target, Loss::Power, lasts),
        Fault::TotalPowerLoss => {
            world.machines.strike_all();
            nodes().for_each(|node| world.boot_later(node, lasts));
        }
        Fault::PowerLossAtAcknowledgement => power_loss_at_acknowledgement(&world, lasts).await,
        Fault::Isolate(target) => {
            let cut = with_others(&world, target, |node, other| {
                vec![Rule::Cut(node, other), Rule::Cut(other, node)]
            });
            during(&world, number, cut, lasts).await;
        }
        Fault::Mute(target) => {
            let cut = with_others(&world, target, |node, other| vec![Rule::Cut(node, other)]);
            during(&world, number, cut, lasts).await;
        }
        Fault::Deafen(target) => {
            let cut = with_others(&world, target, |node, other| vec![Rule::Cut(other, node)]);
            during(&world, number, cut, lasts).await;
        }
        Fault::Loss(p) => during(&world, number, vec![Rule::Loss(p)], lasts).await,
        Fault::Duplicate(p) => during(&world, number, vec![Rule::Duplicate(p)], lasts).await,
        Fault::Delay(ms) => during(&world, number, vec![Rule::Delay(Duration::from_millis(ms))], lasts).await,
        Fault::SlowDisk(target, ms) => {
            let disk = world.machines.disk(resolve(&world, target));
            disk.set_manner(slow(ms));
            tokio::time::sleep(lasts).await;
            disk.set_manner(DiskManner::default());
        }
        Fault::DiskError(target) => world.machines.fail_disk(resolve(&world, target)),
        Fault::Pause(target) => {
            let node = resolve(&world, target);
            world.set_paused(node, true);
            tokio::time::sleep(lasts).await;
            world.set_paused(node, false);
        }
        Fault::ClockOff(target, ms) => {
            let node = resolve(&world, target);
            world.machines.set_clock(node, ms);
            tokio::time::sleep(lasts).await;
            world.machines.set_clock(node, 0);
        }
    }
}

fn strike(world: &World, target: Target, loss: Loss, down: Duration) {
    let node = resolve(world, target);
    world.machines.strike(node, loss);
    world.boot_later(node, down);
}

/// Random power cuts seldom hit the moment between an acknowledgement and the sync it rests on; this one aims at it.
async fn power_loss_at_acknowledgement(world: &World, lasts: Duration) {
    for node in nodes() {
        world.machines.disk(node).set_manner(slow(400));
    }
    // Let what was under way be answered: the next acknowledgement rests on a slow sync.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let machines = std::sync::Arc::downgrade(&world.machines);
    world.machines.oracle.at_next_acknowledgement(Box::new(move || {
        if let Some(machines) = machines.upgrade() {
            machines.strike_all();
        }
    }));
    tokio::time::sleep(lasts).await;
    for node in nodes() {
        world.machines.disk(node).set_manner(DiskManner::default());
    }
    world.machines.oracle.at_next_acknowledgement(Box::new(|| {}));
    world.boot_all();
}

async fn during(world: &World, number: u64, rules: Vec<Rule>, lasts: Duration) {
    world.machines.net.begin(number, rules);
    tokio::time::sleep(lasts).await;
    world.machines.net.end(number);
}

fn with_others(world: &World, target: Target, cut: impl Fn(Place, Place) -> Vec<Rule>) -> Vec<Rule> {
    let node = resolve(world, target);
    debug_assert_ne!(node, CLIENTS);
    nodes().filter(|other| *other != node).flat_map(|other| cut(node, other)).collect()
}

fn slow(ms: u64) -> DiskManner {
    DiskManner { sync: (Duration::from_millis(ms / 2), Duration::from_millis(ms)) }
}

fn resolve(world: &World, target: Target) -> Place {
    let leader = world.machines.leader().unwrap_or(1);
    match target {
        Target::Leader => leader,
        Target::Node(node) => node,
        Target::Follower(which) => {
            let others: Vec<Place> = nodes().filter(|node| *node != leader).collect();
            others[usize::try_from(which).expect("a small number") % others.len()]
        }
    }
}
