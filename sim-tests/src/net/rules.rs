//! What faults do to messages on their way.

use std::{collections::BTreeMap, time::Duration};

use rand::{RngExt, rngs::SmallRng};
use serde::{Deserialize, Serialize};

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
    /// Each message from the first to the second takes up to this much longer.
    Lag(Place, Place, Duration),
    /// Each piece of a snapshot has one bit wrong with this probability.
    Damage(f64),
}

/// All that is wrong now, by the number of the fault that caused it.
#[derive(Debug)]
pub(super) struct Rules {
    latency: Latency,
    active: BTreeMap<u64, Vec<Rule>>,
}

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    pub(super) copies: u32,
    pub(super) takes: Duration,
}

/// How long messages take when nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Latency {
    /// Up to 2 ms.
    #[default]
    Lan,
    /// 10 to 40 ms.
    Wan,
    /// As in a local network, but one message in a hundred takes up to 100 ms.
    Spiky,
}

impl Latency {
    /// The longest.
    pub fn most(self) -> Duration {
        Duration::from_millis(match self {
            Self::Lan => 2,
            Self::Wan => 40,
            Self::Spiky => 100,
        })
    }

    fn draw(self, rng: &mut SmallRng) -> Duration {
        match self {
            Self::Lan => rng.random_range(Duration::ZERO..=self.most()),
            Self::Wan => rng.random_range(Duration::from_millis(10)..=self.most()),
            Self::Spiky if rng.random_bool(0.01) => rng.random_range(Duration::ZERO..=self.most()),
            Self::Spiky => rng.random_range(Duration::ZERO..=Self::Lan.most()),
        }
    }
}

impl Rules {
    pub(super) fn new(latency: Latency) -> Self {
        Self { latency, active: BTreeMap::new() }
    }

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
        let mut fate = Fate { copies: 1, takes: self.latency.draw(rng) };
        let mut is_lost = false;
        for rule in self.all() {
            match rule {
                Rule::Cut(a, b) => is_lost |= (*a, *b) == (from, to),
                Rule::Loss(p) => is_lost |= rng.random_bool(*p),
                Rule::Duplicate(p) => fate.copies += u32::from(rng.random_bool(*p)),
                Rule::Delay(most) => fate.takes += rng.random_range(Duration::ZERO..=*most),
                Rule::Lag(a, b, most) => {
                    let longer = rng.random_range(Duration::ZERO..=*most);
                    fate.takes += if (*a, *b) == (from, to) { longer } else { Duration::ZERO };
                }
                Rule::Damage(_) => {}
            }
        }
        if is_lost {
            fate.copies = 0;
        }
        fate
    }

    /// Decides whether a piece of a snapshot is damaged.
    pub(super) fn damages(&self, rng: &mut SmallRng) -> bool {
        self.all().any(|rule| matches!(rule, Rule::Damage(p) if rng.random_bool(*p)))
    }

    fn all(&self) -> impl Iterator<Item = &Rule> {
        self.active.values().flatten()
    }
}
