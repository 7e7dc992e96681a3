//! What the marks in the product do in a run: `sometimes!` counts, `buggify!` disturbs, `failpoint!` strikes when it was told to.
//!
//! A place that can be disturbed is so in a quarter of the runs; there it goes the rarer way now and then, and how often is drawn
//! for each place. All follows from one seed.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use capstan_model::probes::{self, Blow, Probe};
use capstan_raft_store::runtime;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::net::Place;

/// How likely a place is disturbed in a run.
const ACTIVE_ODDS: f64 = 0.25;
/// How often a disturbed place goes the rarer way, at least and at most.
const FIRING_ODDS: (f64, f64) = (0.05, 0.25);

/// Which places of the product are disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Buggify {
    /// None.
    Off,
    /// Some, by this seed.
    Seeded(u64),
}

/// How often each place was reached or disturbed, by its name.
pub type Counts = BTreeMap<&'static str, u64>;

/// Waits at a failpoint for a node to pass.
pub(crate) struct Ambush {
    /// Where.
    pub(crate) name: &'static str,
    /// For whom; `None` for whoever comes.
    pub(crate) node: Option<Place>,
    /// How many it lets pass before.
    pub(crate) spares: u32,
    /// What it does to that node, once.
    pub(crate) blow: Box<dyn FnOnce(Place)>,
}

thread_local! {
    /// The ambushes of the run on this thread, by the fault that laid them.
    static AMBUSHES: RefCell<BTreeMap<u64, Ambush>> = const { RefCell::new(BTreeMap::new()) };
}

/// Lays an ambush on behalf of a fault; it has at most one.
pub(crate) fn lay(fault: u64, ambush: Ambush) {
    AMBUSHES.with_borrow_mut(|ambushes| ambushes.insert(fault, ambush));
}

/// Takes a fault's ambush away; says whether it was still waiting.
pub(crate) fn lift(fault: u64) -> bool {
    AMBUSHES.with_borrow_mut(|ambushes| ambushes.remove(&fault).is_some())
}

/// Takes all ambushes away.
pub(crate) fn lift_all() {
    AMBUSHES.take();
}

/// The first ambush that the current node has walked into.
fn sprung(name: &'static str) -> Option<(Place, Ambush)> {
    AMBUSHES.with_borrow_mut(|ambushes| {
        if ambushes.is_empty() {
            return None;
        }
        // What the simulator itself does with the product's code passes by.
        let node = Some(runtime::current()).filter(|node| *node != 0)?;
        let waits = |ambush: &Ambush| ambush.name == name && ambush.node.is_none_or(|it| it == node);
        let (fault, ambush) = ambushes.iter_mut().find(|(_, ambush)| waits(ambush))?;
        if ambush.spares > 0 {
            ambush.spares -= 1;
            return None;
        }
        let fault = *fault;
        Some((node, ambushes.remove(&fault).expect("it was found above")))
    })
}

/// Counts on this thread until it is ended.
pub(crate) struct Counting {
    counts: Rc<RefCell<Counts>>,
}

impl Counting {
    /// Starts for a run, in place of any other on this thread.
    pub(crate) fn start(buggify: Buggify) -> Self {
        let counts = Rc::<RefCell<Counts>>::default();
        let probe = RunProbe { counts: Rc::clone(&counts), buggify, places: BTreeMap::new() };
        probes::install(Some(Box::new(probe)));
        lift_all();
        Self { counts }
    }

    /// Ends it, and says what was counted.
    pub(crate) fn end(self) -> Counts {
        probes::install(None);
        lift_all();
        self.counts.take()
    }
}

struct RunProbe {
    counts: Rc<RefCell<Counts>>,
    buggify: Buggify,
    /// The places that were visited, with how often those fire that are disturbed.
    places: BTreeMap<&'static str, Option<(f64, SmallRng)>>,
}

impl RunProbe {
    fn count(&self, name: &'static str) {
        *self.counts.borrow_mut().entry(name).or_default() += 1;
    }
}

impl Probe for RunProbe {
    fn reached(&mut self, name: &'static str) {
        self.count(name);
    }

    fn disturbs(&mut self, name: &'static str) -> bool {
        let Buggify::Seeded(seed) = self.buggify else { return false };
        // Each place draws for itself, so that a place more in the code changes nothing for the others.
        let place = self.places.entry(name).or_insert_with(|| {
            let mut rng = SmallRng::seed_from_u64(xxh3_64_with_seed(name.as_bytes(), seed));
            let (least, most) = FIRING_ODDS;
            rng.random_bool(ACTIVE_ODDS).then(|| (rng.random_range(least..most), rng))
        });
        let fires = place.as_mut().is_some_and(|(odds, rng)| rng.random_bool(*odds));
        if fires {
            self.count(name);
        }
        fires
    }

    fn passed(&mut self, name: &'static str) -> Option<Blow> {
        let (node, ambush) = sprung(name)?;
        self.count(name);
        Some(Box::new(move || (ambush.blow)(node)))
    }
}
