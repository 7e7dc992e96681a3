//! What goes wrong, and when: a schedule drawn from the seed before the run begins.
//!
//! One file for each kind of thing that breaks: what can happen to it, how it is drawn, and how it is done. Whom a fault hits is decided when
//! it strikes, because the leader of that moment is not known before.

mod clock;
mod disk;
mod failpoint;
mod guided;
mod network;
mod operator;
mod process;
mod schedule;
mod staged;
mod target;

use std::{sync::Arc, time::Duration};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::Instant};

pub use self::{
    clock::ClockFault,
    disk::DiskFault,
    failpoint::Failpoint,
    guided::{Blow, GuidedFault},
    network::NetworkFault,
    operator::OperatorFault,
    process::ProcessFault,
    schedule::{Swarm, schedule},
    staged::StagedFault,
    target::Target,
};
pub(crate) use self::{guided::OnPurpose, operator::keep_undrained};
use crate::{
    net::{Place, Rule},
    probes,
    trace::Trace,
    world::World,
};

/// Something that goes wrong for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Fault {
    /// Messages.
    Network(NetworkFault),
    /// A disk.
    Disk(DiskFault),
    /// A process, or its machine.
    Process(ProcessFault),
    /// A clock.
    Clock(ClockFault),
    /// Nothing is broken: somebody asks for something awkward.
    Operator(OperatorFault),
    /// Whatever hurts most at the moment that it waits for.
    Guided(GuidedFault),
    /// Several things that do harm together, one after the other.
    Staged(StagedFault),
}

impl Fault {
    /// Its kind, as coverage counts it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Network(fault) => fault.into(),
            Self::Disk(fault) => fault.into(),
            Self::Process(fault) => fault.into(),
            Self::Clock(fault) => fault.into(),
            Self::Operator(fault) => fault.into(),
            Self::Guided(fault) => fault.into(),
            Self::Staged(fault) => fault.into(),
        }
    }
}

/// A kind of fault that schedules draw from.
pub(crate) struct Kind {
    /// Whether it silences a node for as long as it lasts.
    silences: bool,
    /// Draws one.
    draw: fn(&mut Draw) -> Fault,
}

impl Kind {
    const fn new(draw: fn(&mut Draw) -> Fault) -> Self {
        Self { silences: false, draw }
    }

    const fn silencing(draw: fn(&mut Draw) -> Fault) -> Self {
        Self { silences: true, draw }
    }
}

/// Every kind, by what breaks.
fn families() -> [&'static [Kind]; 7] {
    [network::KINDS, disk::KINDS, process::KINDS, clock::KINDS, operator::KINDS, guided::KINDS, staged::KINDS]
}

/// The names of every kind and every failpoint, as coverage counts them.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    let mut draw = Draw { rng: SmallRng::seed_from_u64(0), nodes: 1 };
    let kinds = families().into_iter().flatten().map(move |kind| (kind.draw)(&mut draw).name());
    kinds.chain(Failpoint::all().map(Failpoint::name))
}

/// What a fault's particulars are drawn from.
pub(crate) struct Draw {
    rng: SmallRng,
    nodes: u64,
}

impl Draw {
    /// Often the leader.
    fn target(&mut self) -> Target {
        match self.rng.random_range(0..4) {
            0 | 1 => Target::Leader,
            2 => Target::Follower(self.rng.random_range(0..self.nodes)),
            _ => Target::Node(self.rng.random_range(1..=self.nodes)),
        }
    }

    /// As likely between 1 and 2 as between 10 and 20.
    fn log_uniform(&mut self, least: f64, most: f64) -> f64 {
        self.rng.random_range(least.ln()..most.ln()).exp()
    }

    /// A probability whose order of magnitude is drawn.
    fn odds(&mut self, least: f64, most: f64) -> f64 {
        self.log_uniform(least, most).clamp(0.0, 1.0)
    }
}

/// A fault with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// When it begins, after the start of the run.
    #[serde(with = "humantime_serde")]
    pub at: Duration,
    /// How long it lasts.
    #[serde(with = "humantime_serde")]
    pub lasts: Duration,
    /// What it is.
    pub fault: Fault,
}

/// A fault under way.
#[derive(Clone)]
struct Strike {
    world: World,
    /// Which of the schedule it is, from 1 on.
    number: u64,
    /// How long it is to last.
    lasts: Duration,
}

/// Carries a schedule out, and ends every fault that ends by itself at its time. Dropped, it begins and ends nothing more.
pub async fn carry_out(world: World, trace: Arc<Trace>, schedule: Vec<Planned>) {
    let start = Instant::now();
    let mut under_way = JoinSet::new();
    for (number, planned) in (1..).zip(schedule) {
        tokio::time::sleep_until(start + planned.at).await;
        let shown = serde_json::to_string(&planned.fault).expect("faults are serialisable");
        trace.event(0, "fault", &[number], shown.as_bytes());
        capstan_model::probes::reached(planned.fault.name());
        let strike = Strike { world: world.clone(), number, lasts: planned.lasts };
        under_way.spawn_local(one(strike, planned.fault));
    }
    under_way.join_all().await;
}

async fn one(strike: Strike, fault: Fault) {
    match fault {
        Fault::Network(fault) => fault.carry_out(strike).await,
        Fault::Disk(fault) => fault.carry_out(strike).await,
        Fault::Process(fault) => fault.carry_out(strike).await,
        Fault::Clock(fault) => fault.carry_out(strike).await,
        Fault::Operator(fault) => fault.carry_out(strike).await,
        Fault::Guided(fault) => fault.carry_out(strike).await,
        Fault::Staged(fault) => fault.carry_out(strike).await,
    }
}

/// How a node stays broken while the others are at peace.
const LEFT_BROKEN: u64 = u64::MAX;

/// Ends whatever is wrong.
pub fn heal(world: &World) {
    end_all(world);
    world.make_peace();
    world.boot_all();
}

/// Ends whatever is wrong with a majority, and returns who must serve then; the others are down, cut off, deaf or mute until [`heal`]
/// comes. Or nothing remains wrong but that two halves do not reach each other: then who reaches both must serve.
pub fn heal_core(world: &World, rng: &mut SmallRng) -> Vec<Place> {
    end_all(world);
    let mut core = world.serving();
    let nodes = world.machines.net.nodes().count();
    let majority = nodes / 2 + 1;
    if core.len() == nodes && nodes >= 5 && rng.random_bool(0.3) {
        capstan_model::sometimes!("a bridge between two halves must serve");
        let bridge = core.swap_remove(rng.random_range(0..nodes));
        world.machines.net.begin(LEFT_BROKEN, network::bridged(&core));
        world.make_peace();
        world.boot_all();
        return vec![bridge];
    }
    let mut rules = Vec::new();
    while core.len() > majority {
        let outsider = core.remove(rng.random_range(0..core.len()));
        let others = || world.machines.net.nodes().filter(move |other| *other != outsider);
        match rng.random_range(0..4) {
            0 => world.keep_down(outsider),
            1 => rules
                .extend(others().flat_map(|other| [Rule::Cut(outsider, other), Rule::Cut(other, outsider)])),
            2 => rules.extend(others().map(|other| Rule::Cut(outsider, other))),
            _ => rules.extend(others().map(|other| Rule::Cut(other, outsider))),
        }
    }
    world.machines.net.begin(LEFT_BROKEN, rules);
    world.make_peace();
    world.boot_all();
    core
}

fn end_all(world: &World) {
    world.machines.net.heal();
    for node in world.machines.net.nodes() {
        world.machines.disk(node).heal();
        world.machines.set_clock(node, 0);
        world.machines.set_scarcity(node, 0);
        world.set_still(node, false);
        world.set_slowness(node, Duration::ZERO);
    }
    world.machines.oracle.at_next_acknowledgement(Box::new(|| {}));
    probes::lift_all();
    world.release();
}

impl Strike {
    fn resolve(&self, target: Target) -> Place {
        target.resolve(&self.world)
    }

    /// Lets rules hold for as long as the fault lasts, and somewhat longer.
    async fn during(&self, rules: Vec<Rule>, longer: Duration) {
        let net = &self.world.machines.net;
        net.begin(self.number, rules);
        tokio::time::sleep(self.lasts + longer).await;
        net.end(self.number);
    }

    /// All others than a node.
    fn others(&self, node: Place) -> impl Iterator<Item = Place> + use<> {
        self.world.machines.net.nodes().filter(move |other| *other != node)
    }
}
