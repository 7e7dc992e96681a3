//! Faults in several steps: what must come together to do harm, and would by chance in one run of thousands.

use std::{sync::Arc, time::Duration};

use capstan_model::ids::NodeId;
use capstan_node::actors::liveness;
use capstan_raft_store::peer::Channel;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use tokio::sync::oneshot;

use super::{Blow, Draw, Failpoint, Fault, Kind, Strike, Target, disk, operator};
use crate::{
    disk::{DiskManner, Loss},
    net::{Place, Rule},
    probes::{self, Ambush},
};

/// How long what was set up is waited for.
const WAITS: Duration = Duration::from_secs(8);
/// How long a node that was struck is down.
const DOWN: Duration = Duration::from_millis(250);
/// Longer than a client waits for a response.
const BEYOND_PATIENCE: Duration = Duration::from_secs(6);
/// Longer than a node that leaves waits until what it has is handed over.
const PATIENCE_OF_LEAVING: Duration = Duration::from_secs(15);
/// A process that runs for so long has not ended when its node has begun to leave.
const LONG_RUN: Duration = Duration::from_secs(1);
/// How often to look whether something was committed.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How often a node is drained that is so for moments.
const MOMENTS: u32 = 10;
/// A node that is silent for so much longer than it takes to be given up has been declared lost.
const LOST_WITHIN: Duration = Duration::from_secs(3);

/// Something that is set up step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum StagedFault {
    /// The leader is cut off from the others, not from clients, and struck when it cuts off what nobody else has.
    TruncationStruck(Blow),
    /// The same, but its disk becomes slow there; so many milliseconds later it loses its power, with what came in place of the old in no
    /// sync yet.
    TruncationOnSlowDisk(u64),
    /// A node is away until it needs a snapshot, and struck at a place while it installs it.
    InstallStruck(Target, Failpoint, Blow),
    /// A node is away until it needs a snapshot, whose pieces are damaged with this probability.
    InstallOfDamaged(Target, f64),
    /// The leader is heard and hears nobody until its clients have lost patience.
    LeaderDeafened,
    /// What a node forwards is done and not answered; then the leader refuses all, while the node does not see what was done: its disk is slow.
    RefusedInDoubt(Target),
    /// A node begins anew, is given work, and is not acknowledged; then it is declared lost.
    NewLifeUnacknowledged(Target),
    /// A node is not heard until about when it is declared lost, or so many milliseconds before or after that; then it is heard again and hears
    /// nothing of Raft's: it does not learn what became of it.
    HeardUnknowing(Target, i64),
    /// A node is not heard until it was declared lost, and does not learn it; then whoever declared it is killed, and the next leader hears it.
    HeardByNextLeader(Target),
    /// A node is not heard until so many milliseconds before it is declared lost; then its leader hears and reaches nobody by Raft, and declares
    /// it lost all the same, perhaps, while the next leader hears it.
    JudgedByDeposed(Target, u64),
    /// The leader is killed while a wall clock is off by so many milliseconds, whose node hears nothing of the others' clocks.
    WrongClockLeadsAlone(u64, i64),
    /// Every node is drained for a while: nobody can run what is left.
    AllDrained,
    /// The follower of the process that will run for longest is told to stop; once that is committed, nothing that it forwards arrives: it cannot
    /// say that its jobs have stopped.
    LeavesUnforwarded,
    /// The leader is killed, and whoever first comes to a place that an election passes is struck.
    ElectionStruck(Failpoint, Blow),
    /// A node begins anew, and whoever admits it is struck.
    AdmissionStruck(Target, Blow),
    /// A node is drained again and again, each time for so many milliseconds: less than its jobs take to stop.
    DrainedForMoments(Target, u64),
    /// A node is not heard until so many milliseconds before or after what is on its cell is to be placed elsewhere; then it is heard again. Whoever leads
    /// then is killed, if it says so: the next leader finds a cell that is silent.
    CellSilent(Target, i64, bool),
    /// All nodes but one are drained: what is on them finds no room.
    DrainedWithoutRoom(Target),
}

/// Where an installation is struck.
const INSTALLING: &[&str] =
    &["snapshot: being received", "install: not adopted", "install: not switched to", "install: not live"];

/// Where an election is struck.
const ELECTING: &[&str] =
    &["vote: not written", "vote: not durable", "vote: not answered", "election: won, nothing committed"];

pub(super) const KINDS: &[Kind] = &[
    Kind::new(|draw| staged(StagedFault::TruncationStruck(blow(draw)))),
    Kind::new(|draw| staged(StagedFault::TruncationOnSlowDisk(draw.rng.random_range(1..400)))),
    Kind::new(|draw| {
        let place = one_of(draw, INSTALLING);
        staged(StagedFault::InstallStruck(draw.target(), place, blow(draw)))
    }),
    Kind::new(|draw| staged(StagedFault::InstallOfDamaged(draw.target(), draw.rng.random_range(0.2..=1.0)))),
    Kind::new(|_| staged(StagedFault::LeaderDeafened)),
    Kind::new(|draw| staged(StagedFault::RefusedInDoubt(draw.target()))),
    Kind::new(|draw| staged(StagedFault::NewLifeUnacknowledged(draw.target()))),
    Kind::new(|draw| {
        let over_ms = draw.rng.random_range(-500..2_000);
        staged(StagedFault::HeardUnknowing(draw.target(), over_ms))
    }),
    Kind::new(|draw| staged(StagedFault::HeardByNextLeader(draw.target()))),
    Kind::new(|draw| {
        let early_ms = draw.rng.random_range(0..300);
        staged(StagedFault::JudgedByDeposed(draw.target(), early_ms))
    }),
    Kind::new(|draw| {
        // Half are by more than an idempotency key is kept.
        let ahead_ms =
            if draw.rng.random_bool(0.5) { draw.log_uniform(2e3, 9e7) } else { draw.log_uniform(9e7, 1e9) };
        staged(StagedFault::WrongClockLeadsAlone(draw.rng.random_range(0..draw.nodes), ahead_ms as i64))
    }),
    Kind::new(|_| staged(StagedFault::AllDrained)),
    Kind::new(|_| staged(StagedFault::LeavesUnforwarded)),
    Kind::new(|draw| {
        let place = one_of(draw, ELECTING);
        staged(StagedFault::ElectionStruck(place, blow(draw)))
    }),
    Kind::new(|draw| staged(StagedFault::AdmissionStruck(draw.target(), blow(draw)))),
    Kind::new(|draw| {
        let ms = draw.log_uniform(5.0, 500.0) as u64;
        staged(StagedFault::DrainedForMoments(draw.target(), ms))
    }),
    Kind::new(|draw| {
        let (over_ms, is_deposed) = (draw.rng.random_range(-400..1_500), draw.rng.random_bool(0.3));
        staged(StagedFault::CellSilent(draw.target(), over_ms, is_deposed))
    }),
    Kind::new(|draw| staged(StagedFault::DrainedWithoutRoom(draw.target()))),
];

fn truncation() -> Failpoint {
    known("truncation: not durable")
}

fn known(name: &str) -> Failpoint {
    Failpoint::try_from(name.to_owned()).expect("it is in the list of all")
}

fn one_of(draw: &mut Draw, names: &[&str]) -> Failpoint {
    known(names[draw.rng.random_range(0..names.len())])
}

fn staged(fault: StagedFault) -> Fault {
    Fault::Staged(fault)
}

fn blow(draw: &mut Draw) -> Blow {
    if draw.rng.random_bool(0.5) { Blow::Kill } else { Blow::PowerLoss }
}

impl StagedFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        match self {
            Self::TruncationStruck(blow) => {
                let leader = strike.resolve(Target::Leader);
                strike.depose(leader).await;
                strike.ambush(truncation(), Some(leader), blow).await;
            }
            Self::TruncationOnSlowDisk(ms) => {
                strike.slow_after_truncation(Duration::from_millis(ms)).await;
            }
            Self::InstallStruck(target, place, blow) => {
                let node = strike.resolve(target);
                strike.send_away(node).await;
                strike.ambush(place, Some(node), blow).await;
            }
            Self::InstallOfDamaged(target, odds) => {
                let node = strike.resolve(target);
                strike.send_away(node).await;
                strike.under(vec![Rule::Damage(odds)], WAITS).await;
            }
            Self::LeaderDeafened => {
                let leader = strike.resolve(Target::Leader);
                let deaf = strike.others(leader).map(|other| Rule::Cut(other, leader)).collect();
                strike.under(deaf, BEYOND_PATIENCE).await;
            }
            Self::RefusedInDoubt(target) => strike.refuse_in_doubt(target).await,
            Self::NewLifeUnacknowledged(target) => {
                let node = strike.resolve(target);
                strike.world.machines.strike(node, Loss::Process);
                tokio::time::sleep(DOWN).await;
                strike.world.machines.net.begin(strike.number, strike.cut_to(node, Channel::Heartbeat));
                strike.world.boot(node);
                tokio::time::sleep(strike.lasts / 2).await;
                operator::give_work(&strike.world).await;
                strike.under(strike.isolate(node), strike.lost_after() + LOST_WITHIN).await;
            }
            Self::HeardUnknowing(target, over_ms) => strike.hear_again(target, over_ms, false).await,
            Self::HeardByNextLeader(target) => strike.hear_again(target, 1_500, true).await,
            Self::JudgedByDeposed(target, early_ms) => {
                strike.judge_deposed(target, Duration::from_millis(early_ms)).await;
            }
            Self::WrongClockLeadsAlone(which, ahead_ms) => {
                let leader = strike.resolve(Target::Leader);
                let alone = strike.resolve(Target::Follower(which));
                let machines = &strike.world.machines;
                machines.set_clock(alone, ahead_ms);
                machines.net.begin(strike.number, strike.cut_to(alone, Channel::Heartbeat));
                machines.strike(leader, Loss::Process);
                strike.world.boot_later(leader, 8 * DOWN);
                tokio::time::sleep(strike.lasts).await;
                machines.net.end(strike.number);
                machines.set_clock(alone, 0);
            }
            Self::DrainedForMoments(target, ms) => {
                let node = strike.resolve(target);
                for _ in 0..MOMENTS {
                    operator::set_drained(&strike.world, node, true).await;
                    tokio::time::sleep(Duration::from_millis(ms)).await;
                    operator::set_drained(&strike.world, node, false).await;
                    tokio::time::sleep(Duration::from_millis(5 * ms)).await;
                }
            }
            Self::AllDrained => {
                for node in strike.world.machines.net.nodes() {
                    operator::set_drained(&strike.world, node, true).await;
                }
                tokio::time::sleep(strike.lasts).await;
                for node in strike.world.machines.net.nodes() {
                    operator::set_drained(&strike.world, node, false).await;
                }
            }
            Self::CellSilent(target, over_ms, is_deposed) => {
                let node = strike.resolve(target);
                let silent_after = liveness::cell_silent_after(strike.world.timing());
                let over = Duration::from_millis(over_ms.unsigned_abs());
                let until = if over_ms < 0 { silent_after.saturating_sub(over) } else { silent_after + over };
                strike.under(strike.mute(node), until).await;
                if is_deposed {
                    let leader = strike.resolve(Target::Leader);
                    strike.world.machines.strike(leader, Loss::Process);
                    strike.world.boot_later(leader, DOWN);
                }
            }
            Self::DrainedWithoutRoom(target) => {
                let spared = strike.resolve(target);
                for node in strike.others(spared) {
                    operator::set_drained(&strike.world, node, true).await;
                }
                tokio::time::sleep(strike.lasts + WAITS).await;
                for node in strike.others(spared) {
                    operator::set_drained(&strike.world, node, false).await;
                }
            }
            Self::LeavesUnforwarded => strike.leave_unforwarded().await,
            Self::ElectionStruck(place, blow) => strike.kill_for(Target::Leader, place, blow).await,
            Self::AdmissionStruck(target, blow) => {
                strike.kill_for(target, known("admission: committed"), blow).await;
            }
        }
    }
}

impl Strike {
    fn lost_after(&self) -> Duration {
        self.world.timing().owner_lost_after
    }

    /// Lets rules hold for a while.
    async fn under(&self, rules: Vec<Rule>, lasts: Duration) {
        let net = &self.world.machines.net;
        net.begin(self.number, rules);
        tokio::time::sleep(lasts).await;
        net.end(self.number);
    }

    /// Lets a node hear nothing of the others on one kind of connection.
    fn cut_to(&self, node: Place, channel: Channel) -> Vec<Rule> {
        self.others(node).map(|other| Rule::CutChannel(other, node, channel)).collect()
    }

    /// Cuts a leader off from the others until one of them leads: what it is given meanwhile is in its log only.
    async fn depose(&self, leader: Place) {
        let timing = self.world.timing();
        self.under(self.isolate(leader), 3 * timing.election_max + self.lasts / 4).await;
    }

    /// Cuts a node off from the others for so long that they may have purged what it lacks.
    async fn send_away(&self, node: Place) {
        let away = self.world.timing().snapshot_every.min(WAITS) + self.lasts;
        self.under(self.isolate(node), away).await;
    }

    /// What a leader has judged must not hold under the next one, who has heard otherwise.
    async fn judge_deposed(&self, target: Target, early: Duration) {
        let (node, leader) = (self.resolve(target), self.resolve(Target::Leader));
        if node == leader {
            return;
        }
        let timing = self.world.timing();
        let net = &self.world.machines.net;
        self.under(self.mute(node), timing.owner_lost_after.saturating_sub(early)).await;
        let both_ways = |other| {
            let cut = |from, to| Rule::CutChannel(from, to, Channel::Raft);
            [cut(leader, other), cut(other, leader)]
        };
        let deposed: Vec<Rule> = self.others(leader).flat_map(both_ways).collect();
        net.begin(self.number, [self.mute(node), deposed.clone()].concat());
        tokio::time::sleep(early + timing.ack_age_max).await;
        net.begin(self.number, deposed);
        operator::give_work(&self.world).await;
        tokio::time::sleep(3 * timing.election_max).await;
        net.end(self.number);
    }

    async fn leave_unforwarded(&self) {
        operator::give_work(&self.world).await;
        let leader = self.resolve(Target::Leader);
        let Some(node) = self.runner_among(LONG_RUN, |node| node != leader).await else { return };
        let machines = &self.world.machines;
        let is_leaving = || {
            let record = machines.oracle.committed_state().nodes.get(&NodeId(node)).cloned();
            record.is_some_and(|record| record.leaving)
        };
        let left = tokio::task::spawn_local(operator::leave(self.clone(), node));
        let told = async {
            while !is_leaving() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(DOWN * 8, told).await.is_ok() {
            let cut = self.others(node).map(|other| Rule::CutChannel(node, other, Channel::Forward));
            machines.net.begin(self.number, cut.collect());
            // It may crash before.
            let _ = tokio::time::timeout(PATIENCE_OF_LEAVING, left).await;
            machines.net.end(self.number);
        }
    }

    /// Kills a node and starts it again, for the sake of who passes a place then.
    async fn kill_for(&self, target: Target, place: Failpoint, blow: Blow) {
        let node = self.resolve(target);
        self.world.machines.strike(node, Loss::Process);
        self.world.boot_later(node, DOWN);
        self.ambush(place, None, blow).await;
    }

    /// Lies in wait at one place, for one node or for the first who comes.
    async fn ambush(&self, place: Failpoint, node: Option<Place>, blow: Blow) {
        self.lay(place, node, 0, blow);
        tokio::time::sleep(WAITS).await;
        probes::lift(self.number);
    }

    async fn slow_after_truncation(&self, after: Duration) {
        let leader = self.resolve(Target::Leader);
        let (sender, truncated) = oneshot::channel();
        let machines = Arc::downgrade(&self.world.machines);
        let blow = Box::new(move |node| {
            if let Some(machines) = machines.upgrade() {
                machines.disk(node).set_manner(disk::slow(4_000));
            }
            // Who waits may have lost patience.
            let _ = sender.send(());
        });
        self.depose(leader).await;
        let name = truncation().name();
        probes::lay(self.number, Ambush { name, node: Some(leader), spares: 0, blow });
        if tokio::time::timeout(WAITS, truncated).await.is_ok() {
            tokio::time::sleep(after).await;
            self.world.machines.strike(leader, Loss::Power);
            self.world.boot_later(leader, DOWN);
        }
        probes::lift(self.number);
        self.world.machines.disk(leader).set_manner(DiskManner::default());
    }

    /// Somebody who was told nothing, and then that nothing happened, must not believe it.
    async fn refuse_in_doubt(&self, target: Target) {
        let (node, leader) = (self.resolve(target), self.resolve(Target::Leader));
        if node == leader {
            return;
        }
        let machines = &self.world.machines;
        machines.disk(node).set_manner(disk::slow(6_000));
        self.under(self.cut_to(node, Channel::Forward), Duration::from_millis(1_200)).await;
        machines.disk(leader).set_room(Some(10_000));
        tokio::time::sleep(BEYOND_PATIENCE).await;
        machines.disk(leader).set_room(None);
        machines.disk(node).set_manner(DiskManner::default());
        self.check_trust(leader);
    }

    /// Extends the lease of a node that is being declared lost, and keeps from it that it is. It runs something then only if it was given it while
    /// nobody heard it.
    async fn hear_again(&self, target: Target, over_ms: i64, leader_dies: bool) {
        const UNKNOWING: Duration = Duration::from_millis(600);
        let node = self.resolve(target);
        let net = &self.world.machines.net;
        self.under(self.mute(node), self.lost_after().saturating_sub(UNKNOWING)).await;
        self.set_manners(&disk::slow(1_000));
        let world = self.world.clone();
        drop(tokio::task::spawn_local(async move { operator::give_work(&world).await }));
        let unknowing = self.cut_to(node, Channel::Raft);
        net.begin(self.number, [self.mute(node), unknowing.clone()].concat());
        let over = Duration::from_millis(over_ms.unsigned_abs());
        tokio::time::sleep(if over_ms < 0 { UNKNOWING.saturating_sub(over) } else { UNKNOWING + over }).await;
        if leader_dies {
            let leader = self.resolve(Target::Leader);
            self.world.machines.strike(leader, Loss::Process);
            self.world.boot_later(leader, DOWN);
        }
        net.begin(self.number, unknowing);
        tokio::time::sleep(LOST_WITHIN).await;
        net.end(self.number);
        self.set_manners(&DiskManner::default());
    }
}
