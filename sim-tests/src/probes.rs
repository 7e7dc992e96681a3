//! What the marks in the product do in a run: `sometimes!` counts, `buggify!` disturbs.
//!
//! A place that can be disturbed is so in a quarter of the runs; there it goes the rarer way now and then, and how often is drawn
//! for each place. All follows from one seed.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use capstan_model::probes::{self, Probe};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

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
        Self { counts }
    }

    /// Ends it, and says what was counted.
    pub(crate) fn end(self) -> Counts {
        probes::install(None);
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
}
