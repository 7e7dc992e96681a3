//! What faults do to messages on their way.

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt, rngs::SmallRng};

/// A node, or 0 for the clients.
pub type Place = u64;

/// One thing that is wrong with the network.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Nothing gets from the first to the second.
    Cut(Place, Place),
    /// Each message is lost with this probability.
    Loss(f64),
    /// Each message arrives twice with this probability.
    Duplicate(f64),
    /// Each message takes up to this much longer.
    Delay(Duration),
}

/// All that is wrong now, by the number of the fault that caused it.
#[derive(Debug, Default)]
pub(super) struct Rules {
    active: BTreeMap<u64, Vec<Rule>>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) copies: u32,
    pub(super) takes: Duration,
}

/// The longest a message takes in a healthy network.
const HEALTHY_MAX: Duration = Duration::from_millis(2);

impl Rules {
    pub(super) fn begin(&mut self, fault: u64, rules: Vec<Rule>) {
        self.active.insert(fault, rules);
    }

    pub(super) fn end(&mut self, fault: u64) {
        self.active.remove(&fault);
    }

    pub(super) fn end_all(&mut self) {
        self.active.clear();
    }

    pub(super) fn is_cut(&self, from: Place, to: Place) -> bool {
        self.all().any(|rule| *rule == Rule::Cut(from, to))
    }

    /// Decides on a message. Draws as often whatever it decides, so that a rule more changes little else.
    pub(super) fn decide(&self, from: Place, to: Place, rng: &mut SmallRng) -> Fate {
        let mut fate = Fate { copies: 1, takes: rng.random_range(Duration::ZERO..=HEALTHY_MAX) };
        let mut is_lost = false;
        for rule in self.all() {
            match rule {
                Rule::Cut(a, b) => is_lost |= (*a, *b) == (from, to),
                Rule::Loss(p) => is_lost |= rng.random_bool(*p),
                Rule::Duplicate(p) => fate.copies += u32::from(rng.random_bool(*p)),
                Rule::Delay(most) => fate.takes += rng.random_range(Duration::ZERO..=*most),
            }
        }
        if is_lost {
            fate.copies = 0;
        }
        fate
    }

    fn all(&self) -> impl Iterator<Item = &Rule> {
        self.active.values().flatten()
    }
}
