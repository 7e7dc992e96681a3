//! What goes wrong, and when: a schedule drawn from the seed before the run begins.
//!
//! Whom a fault hits is decided when it strikes, because the leader of that moment is not known before.

use std::time::Duration;

use bytes::Bytes;
use capstan_node::leave;
use http::Request;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::Serialize;
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    disk::{DiskManner, Loss},
    net::{CLIENTS, Job, Place, Rule},
    trace::Trace,
    world::{World, nodes},
};

/// How long an operator waits for a node's answer.
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);

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
    /// The node of the process that has run longest is cut off from the others, for longer than it takes to be declared lost: its
    /// requests go to others while the process would still run.
    IsolateRunner,
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
    /// A node is told to stop: it hands over what it has, ends, and is started again at the end.
    Leave(Target),
    /// An operator drains a node, and undrains it at the end.
    Drain(Target),
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

/// A node that is cut off for so long is declared lost: its silence, an election, and the looks in between.
const LOST_WITHIN: Duration = Duration::from_secs(12);
/// The kinds that a schedule draws from.
const KINDS: u32 = 18;
/// Those that silence a node for as long as they last: it is killed, loses its power, is cut off, not heard, deaf, or stands still.
const SILENCING: [u32; 7] = [0, 1, 5, 6, 7, 13, 16];

/// Draws a schedule for a time. One run in ten has none; each kind is in about half, or a quarter, of the others.
pub fn schedule(seed: u64, time: Duration) -> Vec<Planned> {
    let mut rng = SmallRng::seed_from_u64(seed);
    if rng.random_bool(0.1) {
        return Vec::new();
    }
    // A node is given up only by a leader that has listened in peace for long enough: some schedules have few faults, and long ones.
    let is_calm = rng.random_bool(0.4);
    let (kind_odds, gap_ms_most, long_odds) = if is_calm { (0.2, 12_000, 0.7) } else { (0.5, 6_000, 0.1) };
    let mut kinds: Vec<u32> = (0..KINDS).filter(|_| rng.random_bool(kind_odds)).collect();
    if is_calm {
        kinds.extend([SILENCING[rng.random_range(0..SILENCING.len())]; 3]);
    }
    let gap_ms_max = rng.random_range(500..gap_ms_most);
    let mut planned = Vec::new();
    let mut at = Duration::from_secs(2);
    while !kinds.is_empty() {
        at += Duration::from_millis(rng.random_range(100..=gap_ms_max));
        if at >= time {
            break;
        }
        let lasts_ms = if rng.random_bool(long_odds) { 4_000..20_000 } else { 50..4_000 };
        let lasts = Duration::from_millis(rng.random_range(lasts_ms));
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
        14 => Fault::ClockOff(target, rng.random_range(-3_600_000..3_600_000)),
        15 => Fault::Leave(target),
        16 => Fault::IsolateRunner,
        _ => Fault::Drain(target),
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
    world.make_peace();
    world.boot_all();
}

/// Ends every drain, for as long as the world exists: one that nobody heard the answer of may be committed late.
pub async fn keep_undrained(world: World) {
    loop {
        let nodes = world.machines.oracle.committed_state().nodes;
        for record in nodes.values().filter(|record| record.draining) {
            set_drained(&world, record.incarnation.node.0, false).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
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
        Fault::IsolateRunner => {
            let Some(oldest) = world.machines.processes.running().into_iter().next() else { return };
            let cut = with_others(&world, Target::Node(oldest.node), |node, other| {
                vec![Rule::Cut(node, other), Rule::Cut(other, node)]
            });
            during(&world, number, cut, lasts + LOST_WITHIN).await;
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
        // Both end by themselves: what has begun to leave must not stay.
        Fault::Leave(target) => drop(tokio::task::spawn_local(leave(world, target, lasts))),
        Fault::Drain(target) => {
            let node = resolve(&world, target);
            set_drained(&world, node, true).await;
            tokio::time::sleep(lasts).await;
            set_drained(&world, node, false).await;
        }
    }
}

/// A node hands over what it has, as it does when it is told to stop, and ends. Peace ends its patience, and brings it back at once.
async fn leave(world: World, target: Target, down: Duration) {
    let node = resolve(&world, target);
    let (Some(life), Some(handle)) = (world.machines.life_of(node), world.machines.handle(node)) else {
        return;
    };
    let (sender, left) = oneshot::channel();
    let job: Job = Box::new(move || {
        Box::pin(async move {
            leave::hand_everything_over(&handle).await;
            // Nobody waits for it in peace.
            let _ = sender.send(());
        })
    });
    world.machines.net.give(node, job);
    tokio::select! {
        // It may crash before.
        _ = left => {}
        () = world.peace() => {}
    }
    if !world.machines.lives(node, life) {
        return;
    }
    world.machines.strike(node, Loss::Process);
    tokio::select! {
        () = tokio::time::sleep(down) => {}
        () = world.peace() => {}
    }
    world.boot(node);
}

/// Tells the cluster that a node is drained, or no longer, through whichever node answers; some faults keep all from it.
async fn set_drained(world: &World, node: Place, is_drained: bool) {
    let path = format!("/cluster/v1/nodes/{node}/{}", if is_drained { "drain" } else { "undrain" });
    for through in nodes() {
        let call = Request::post(&path).body(Bytes::new()).expect("its parts are legal");
        if world
            .machines
            .net
            .http(through, call, DRAIN_PATIENCE)
            .await
            .is_ok_and(|it| it.status().is_success())
        {
            return;
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
