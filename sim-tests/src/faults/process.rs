//! Nodes that are killed, stand still, or lose their power.

use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Fault, Kind, Strike, Target};
use crate::{disk::Loss, net::Place, world::World};

/// How soon a supervisor starts again what keeps crashing.
const RESTARTED_AFTER: Duration = Duration::from_millis(100);
/// How long after a pause the wall clock of a machine is set.
const WALL_SET_AFTER: Duration = Duration::from_secs(3);

/// Something that goes wrong with a node's process, or with its machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum ProcessFault {
    /// A process is killed, and started again at the end.
    Kill(Target),
    /// So many processes are killed at once, those from this one on, and started again at the end.
    KillMany(Target, u64),
    /// A process is killed so many times, each time after so many milliseconds, and started again at once.
    CrashLoop(Target, u32, u64),
    /// A machine loses its power.
    PowerLoss(Target),
    /// All machines lose their power.
    TotalPowerLoss,
    /// A node's processor stands still.
    Pause(Target),
    /// A node's processor stands still for so many milliseconds: its guardian lives on and kills what it runs.
    LongPause(Target, u64),
    /// A whole machine stands still for so many milliseconds, as a virtual one whose host pauses it. Its wall clock is behind by as much for
    /// a while afterwards.
    MachinePause(Target, u64),
    /// What a node does comes late, by up to so many milliseconds at a time.
    Slow(Target, u64),
    /// So many of a thousand processes cannot be made on a machine, guardians included.
    Scarcity(Target, u32),
}

pub(super) const KINDS: &[Kind] = &[
    Kind::silencing(|draw| Fault::Process(ProcessFault::Kill(draw.target()))),
    Kind::new(|draw| {
        let majority = draw.nodes / 2 + 1;
        let killed = if draw.rng.random_bool(0.5) { majority } else { draw.nodes };
        Fault::Process(ProcessFault::KillMany(draw.target(), killed))
    }),
    Kind::new(|draw| {
        let (times, every_ms) = (draw.rng.random_range(2..=6), draw.rng.random_range(1_000..=5_000));
        Fault::Process(ProcessFault::CrashLoop(draw.target(), times, every_ms))
    }),
    Kind::silencing(|draw| Fault::Process(ProcessFault::PowerLoss(draw.target()))),
    Kind::new(|_| Fault::Process(ProcessFault::TotalPowerLoss)),
    Kind::silencing(|draw| Fault::Process(ProcessFault::Pause(draw.target()))),
    Kind::new(|draw| {
        Fault::Process(ProcessFault::LongPause(draw.target(), draw.rng.random_range(4_000..60_000)))
    }),
    Kind::new(|draw| {
        Fault::Process(ProcessFault::MachinePause(draw.target(), draw.rng.random_range(1_000..60_000)))
    }),
    Kind::new(|draw| Fault::Process(ProcessFault::Slow(draw.target(), draw.rng.random_range(1..=40)))),
    Kind::new(|draw| Fault::Process(ProcessFault::Scarcity(draw.target(), draw.rng.random_range(50..=900)))),
];

impl ProcessFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        match self {
            Self::Kill(target) => strike.stop(target, Loss::Process),
            Self::KillMany(target, count) => {
                let first = strike.resolve(target);
                let nodes: Vec<_> = strike.world.machines.net.nodes().collect();
                let from = nodes.iter().position(|node| *node == first).expect("a world knows its nodes");
                for node in nodes.iter().cycle().skip(from).take(nodes.len().min(count as usize)) {
                    strike.stop(Target::Node(*node), Loss::Process);
                }
            }
            Self::CrashLoop(target, times, every_ms) => {
                let node = strike.resolve(target);
                for _ in 0..times {
                    strike.world.machines.strike(node, Loss::Process);
                    tokio::time::sleep(RESTARTED_AFTER).await;
                    strike.world.boot(node);
                    tokio::time::sleep(Duration::from_millis(every_ms)).await;
                }
            }
            Self::PowerLoss(target) => strike.stop(target, Loss::Power),
            Self::TotalPowerLoss => {
                strike.world.machines.strike_all();
                strike
                    .world
                    .machines
                    .net
                    .nodes()
                    .for_each(|node| strike.world.boot_later(node, strike.lasts));
            }
            Self::Pause(target) => {
                let node = strike.resolve(target);
                pause(&strike.world, node, strike.lasts).await;
            }
            Self::LongPause(target, ms) => {
                let node = strike.resolve(target);
                pause(&strike.world, node, Duration::from_millis(ms)).await;
            }
            Self::MachinePause(target, ms) => {
                let node = strike.resolve(target);
                let world = &strike.world;
                world.set_still(node, true);
                tokio::time::sleep(Duration::from_millis(ms)).await;
                let behind = i64::try_from(ms).expect("a pause is shorter than an age");
                world.machines.set_clock(node, -behind);
                world.set_still(node, false);
                tokio::time::sleep(WALL_SET_AFTER).await;
                world.machines.set_clock(node, 0);
            }
            Self::Slow(target, late_ms) => {
                let node = strike.resolve(target);
                strike.world.set_slowness(node, Duration::from_millis(late_ms));
                tokio::time::sleep(strike.lasts).await;
                strike.world.set_slowness(node, Duration::ZERO);
            }
            Self::Scarcity(target, per_mille) => {
                let node = strike.resolve(target);
                strike.world.machines.set_scarcity(node, per_mille);
                tokio::time::sleep(strike.lasts).await;
                strike.world.machines.set_scarcity(node, 0);
            }
        }
    }
}

async fn pause(world: &World, node: Place, lasts: Duration) {
    world.set_paused(node, true);
    tokio::time::sleep(lasts).await;
    world.set_paused(node, false);
}

impl Strike {
    fn stop(&self, target: Target, loss: Loss) {
        let node = self.resolve(target);
        self.world.machines.strike(node, loss);
        self.world.boot_later(node, self.lasts);
    }
}
