//! Faults that wait for the moment at which they hurt most: random ones seldom find it.

use std::{sync::Arc, time::Duration};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{Draw, Fault, Kind, Strike, Target, disk, failpoint::Failpoint};
use crate::{
    disk::{DiskManner, Loss},
    net::Place,
    probes::{self, Ambush},
};

/// A node that is cut off for so much longer than it takes to be declared lost is so: an election, and the looks in between.
const LOST_WITHIN: Duration = Duration::from_secs(4);
/// How long a process that will run for long is waited for.
const RUNNER_WITHIN: Duration = Duration::from_secs(8);
/// How long a node that was struck is down.
const DOWN: Duration = Duration::from_millis(250);
/// How long disks stay slow when a node that was silent is heard again.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How much longer than it lasts a fault lies in wait at a failpoint: some are passed seldom.
const WAITS_LONGER: Duration = Duration::from_secs(10);
/// How many are let pass at a failpoint at the most, before one is struck.
const SPARED_MAX: u32 = 12;

/// Something that strikes at a moment that it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum GuidedFault {
    /// All disks are slow; at the first write acknowledged meanwhile all machines lose their power.
    PowerLossAtAcknowledgement,
    /// The node of the process that will run for longest is cut off from the others, for longer than it takes to be declared lost: its
    /// requests go to others while the process would still run.
    IsolateRunner,
    /// The same, of the processes on the leader's own node: it is to stop acknowledging itself.
    IsolateLeadingRunner,
    /// A follower's wall clock is off by so many milliseconds while the leader is killed, so that it may be the next to lead.
    WrongClockMayLead(u64, i64),
    /// The node of the process that will run for longest is killed, and started again at once.
    KillRunner,
    /// All disks are slow; so many milliseconds after the next acknowledged write all machines lose their power: by then others have
    /// applied what their own disks do not hold.
    PowerLossAfterAcknowledgement(u64),
    /// The leader is cut off from the others, not from clients; so many milliseconds after it is back, its machine loses its power.
    PowerLossAfterDeposal(u64),
    /// The next node that is sent a snapshot loses its power so many milliseconds after a piece of it has come.
    PowerLossAtSnapshot(u64),
    /// A node hears the others and is not heard until it is about to be declared lost, or so many milliseconds before or after that, while
    /// all disks are slow.
    MuteUntilLost(Target, i64),
    /// The same, but at the end it does not hear the others either: it does not know that it was declared lost.
    MuteUntilLostUnknowing(Target, i64),
    /// Whoever passes a place in the product is struck there, and starts again a second later.
    StrikeAt {
        /// Where.
        place: Failpoint,
        /// Whom; `None` for the first who comes.
        whom: Option<Target>,
        /// How many times the place is passed unharmed before.
        spares: u32,
        /// What happens there.
        blow: Blow,
    },
}

/// What happens to a node at a failpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blow {
    /// Its process is killed.
    Kill,
    /// Its machine loses its power.
    PowerLoss,
    /// What passes there panics: the node must stop as a whole, or go on as if nothing had been.
    Panic,
}

/// The panic of a struck node; none of it is the product's.
pub(crate) struct OnPurpose;

pub(super) const KINDS: &[Kind] = &[
    Kind::new(|_| Fault::Guided(GuidedFault::PowerLossAtAcknowledgement)),
    Kind::silencing(|_| Fault::Guided(GuidedFault::IsolateRunner)),
    Kind::silencing(|_| Fault::Guided(GuidedFault::IsolateLeadingRunner)),
    Kind::new(|draw| {
        let (which, off_ms) = (draw.rng.random_range(0..8), draw.rng.random_range(-3_600_000..3_600_000));
        Fault::Guided(GuidedFault::WrongClockMayLead(which, off_ms))
    }),
    Kind::new(|_| Fault::Guided(GuidedFault::KillRunner)),
    Kind::new(|draw| {
        Fault::Guided(GuidedFault::PowerLossAfterAcknowledgement(draw.rng.random_range(1..250)))
    }),
    Kind::new(|draw| Fault::Guided(GuidedFault::PowerLossAfterDeposal(draw.rng.random_range(1..500)))),
    Kind::new(|draw| Fault::Guided(GuidedFault::PowerLossAtSnapshot(draw.rng.random_range(0..50)))),
    Kind::silencing(|draw| {
        let (target, over_ms) = (draw.target(), draw.rng.random_range(-600..400));
        Fault::Guided(GuidedFault::MuteUntilLost(target, over_ms))
    }),
    Kind::silencing(|draw| {
        let (target, over_ms) = (draw.target(), draw.rng.random_range(200..2_000));
        Fault::Guided(GuidedFault::MuteUntilLostUnknowing(target, over_ms))
    }),
    Kind::new(anywhere),
    Kind::new(critical),
    Kind::new(|draw| {
        let place = chosen(draw, Failpoint::panicking());
        Fault::Guided(GuidedFault::StrikeAt { place, whom: None, spares: spares(draw), blow: Blow::Panic })
    }),
];

/// A strike at some place, as likely at one of those where the most depends on what comes after as at any.
pub(super) fn somewhere(draw: &mut Draw) -> Fault {
    if draw.rng.random_bool(0.5) { critical(draw) } else { anywhere(draw) }
}

fn critical(draw: &mut Draw) -> Fault {
    strike_at(draw, Failpoint::critical())
}

fn anywhere(draw: &mut Draw) -> Fault {
    strike_at(draw, Failpoint::all())
}

fn strike_at(draw: &mut Draw, places: impl ExactSizeIterator<Item = Failpoint>) -> Fault {
    let place = chosen(draw, places);
    let whom = draw.rng.random_bool(0.2).then(|| draw.target());
    let blow = if draw.rng.random_bool(0.5) { Blow::Kill } else { Blow::PowerLoss };
    Fault::Guided(GuidedFault::StrikeAt { place, whom, spares: spares(draw), blow })
}

fn chosen(draw: &mut Draw, mut places: impl ExactSizeIterator<Item = Failpoint>) -> Failpoint {
    let which = draw.rng.random_range(0..places.len());
    places.nth(which).expect("it was drawn from as many")
}

/// Most places are passed seldom: the first is struck there, as a rule.
fn spares(draw: &mut Draw) -> u32 {
    if draw.rng.random_bool(0.6) { 0 } else { draw.rng.random_range(1..=SPARED_MAX) }
}

impl GuidedFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        match self {
            Self::PowerLossAtAcknowledgement => power_loss_at_acknowledgement(strike, Duration::ZERO).await,
            Self::PowerLossAfterAcknowledgement(ms) => {
                power_loss_at_acknowledgement(strike, Duration::from_millis(ms)).await;
            }
            Self::PowerLossAfterDeposal(ms) => {
                let leader = strike.resolve(Target::Leader);
                strike.during(strike.isolate(leader), Duration::ZERO).await;
                tokio::time::sleep(Duration::from_millis(ms)).await;
                strike.world.machines.strike(leader, Loss::Power);
                strike.world.boot_later(leader, DOWN);
            }
            Self::PowerLossAtSnapshot(ms) => power_loss_at_snapshot(strike, Duration::from_millis(ms)).await,
            Self::IsolateRunner => {
                let silence = strike.world.timing().owner_lost_after;
                let Some(node) = strike.runner(silence + LOST_WITHIN).await else { return };
                strike.during(strike.isolate(node), silence + LOST_WITHIN).await;
            }
            Self::IsolateLeadingRunner => {
                let silence = strike.world.timing().owner_lost_after;
                let leads = |node| strike.resolve(Target::Leader) == node;
                let Some(node) = strike.runner_among(silence + LOST_WITHIN, leads).await else { return };
                strike.during(strike.isolate(node), silence + LOST_WITHIN).await;
            }
            Self::WrongClockMayLead(which, off_ms) => {
                let (leader, other) =
                    (strike.resolve(Target::Leader), strike.resolve(Target::Follower(which)));
                strike.world.machines.set_clock(other, off_ms);
                strike.world.machines.strike(leader, Loss::Process);
                strike.world.boot_later(leader, DOWN * 4);
                tokio::time::sleep(strike.lasts + AFTERMATH).await;
                strike.world.machines.set_clock(other, 0);
            }
            Self::KillRunner => {
                let Some(node) = strike.runner(DOWN * 8).await else { return };
                strike.world.machines.strike(node, Loss::Process);
                strike.world.boot_later(node, DOWN);
            }
            Self::MuteUntilLost(target, over_ms) => mute_until_lost(strike, target, over_ms, true).await,
            Self::MuteUntilLostUnknowing(target, over_ms) => {
                mute_until_lost(strike, target, over_ms, false).await;
            }
            Self::StrikeAt { place, whom, spares, blow } => {
                strike.lay(place, whom.map(|target| strike.resolve(target)), spares, blow);
                tokio::time::sleep(strike.lasts + WAITS_LONGER).await;
                probes::lift(strike.number);
            }
        }
    }
}

impl Strike {
    /// Lies in wait at a place, for one node or for the first who comes.
    pub(super) fn lay(&self, place: Failpoint, node: Option<Place>, spares: u32, blow: Blow) {
        let machines = Arc::downgrade(&self.world.machines);
        let blow = Box::new(move |node| {
            let Some(machines) = machines.upgrade() else { return };
            match blow {
                Blow::Kill => machines.begin_again(node, Loss::Process),
                Blow::PowerLoss => machines.begin_again(node, Loss::Power),
                Blow::Panic => {
                    machines.let_stop(node);
                    drop(machines);
                    std::panic::panic_any(OnPurpose);
                }
            }
        });
        probes::lay(self.number, Ambush { name: place.name(), node, spares, blow });
    }

    /// The node of the process that will run for longest; one that will for `least` is waited for a while.
    async fn runner(&self, least: Duration) -> Option<Place> {
        self.runner_among(least, |_| true).await
    }

    /// The same among the nodes that are wanted.
    pub(super) async fn runner_among(
        &self,
        least: Duration,
        is_wanted: impl Fn(Place) -> bool,
    ) -> Option<Place> {
        let processes = &self.world.machines.processes;
        let waits_until = Instant::now() + RUNNER_WITHIN;
        loop {
            let longest = processes.longest(&is_wanted);
            let is_long = longest.as_ref().is_some_and(|(_, left)| *left >= least);
            if is_long || Instant::now() >= waits_until {
                return longest.map(|(process, _)| process.node);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(super) fn set_manners(&self, manner: &DiskManner) {
        let machines = &self.world.machines;
        machines.net.nodes().for_each(|node| machines.disk(node).set_manner(manner.clone()));
    }
}

/// A lease is extended by the leader that is about to end it only in a short moment, and nothing follows unless the node has something to
/// start: what it was given while nobody heard it.
async fn mute_until_lost(strike: Strike, target: Target, over_ms: i64, knows: bool) {
    let node = strike.resolve(target);
    let lost_after = strike.world.timing().owner_lost_after;
    let over = Duration::from_millis(over_ms.unsigned_abs());
    let until = if over_ms < 0 { lost_after.saturating_sub(over) } else { lost_after + over };
    let last = Duration::from_millis(700).min(until);
    let net = &strike.world.machines.net;
    net.begin(strike.number, strike.mute(node));
    tokio::time::sleep(until - last).await;
    strike.set_manners(&disk::slow(600));
    if !knows {
        net.begin(strike.number, strike.isolate(node));
    }
    tokio::time::sleep(last).await;
    net.end(strike.number);
    tokio::time::sleep(AFTERMATH).await;
    strike.set_manners(&DiskManner::default());
}

/// What of a snapshot was made durable in the right order is seen only when the power fails in the middle.
async fn power_loss_at_snapshot(strike: Strike, after: Duration) {
    let Strike { world, lasts, .. } = strike;
    let (sender, mut receivers) = mpsc::unbounded_channel();
    world.machines.oracle.at_next_snapshot_step(Some(sender));
    if let Ok(Some(node)) = tokio::time::timeout(lasts, receivers.recv()).await {
        tokio::time::sleep(after).await;
        world.machines.strike(node, Loss::Power);
        world.boot_later(node, DOWN);
    }
    world.machines.oracle.at_next_snapshot_step(None);
}

/// Random power cuts seldom hit the moment between an acknowledgement and the sync it rests on; this one aims at it.
async fn power_loss_at_acknowledgement(strike: Strike, after: Duration) {
    strike.set_manners(&disk::slow(400));
    let Strike { world, lasts, .. } = &strike;
    // Let what was under way be answered: the next acknowledgement rests on a slow sync.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let (sender, acknowledged) = oneshot::channel();
    let machines = Arc::downgrade(&world.machines);
    world.machines.oracle.at_next_acknowledgement(Box::new(move || {
        if after.is_zero()
            && let Some(machines) = machines.upgrade()
        {
            machines.strike_all();
        }
        // Who waits may have lost patience.
        let _ = sender.send(());
    }));
    let is_acknowledged = tokio::time::timeout(*lasts, acknowledged).await.is_ok();
    if is_acknowledged && !after.is_zero() {
        tokio::time::sleep(after).await;
        world.machines.strike_all();
    }
    tokio::time::sleep(DOWN).await;
    strike.set_manners(&DiskManner::default());
    world.machines.oracle.at_next_acknowledgement(Box::new(|| {}));
    world.boot_all();
}
