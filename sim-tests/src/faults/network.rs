//! Messages that are lost, late, doubled, or do not get through at all.

use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Fault, Kind, Strike, Target};
use crate::net::{Place, Rule};

/// Something that goes wrong with messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum NetworkFault {
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
    /// Messages between a node and the others take up to so many milliseconds longer; clients reach all as fast as ever.
    Lag(Target, u64),
    /// Every piece of a snapshot arrives with one bit wrong with this probability.
    Damage(f64),
}

pub(super) const KINDS: &[Kind] = &[
    Kind::silencing(|draw| Fault::Network(NetworkFault::Isolate(draw.target()))),
    Kind::silencing(|draw| Fault::Network(NetworkFault::Mute(draw.target()))),
    Kind::silencing(|draw| Fault::Network(NetworkFault::Deafen(draw.target()))),
    Kind::new(|draw| Fault::Network(NetworkFault::Loss(draw.rng.random_range(0.01..0.3)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Duplicate(draw.rng.random_range(0.01..0.5)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Delay(draw.rng.random_range(5..300)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Lag(draw.target(), draw.rng.random_range(20..400)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Damage(draw.rng.random_range(0.05..0.5)))),
];

impl NetworkFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        let rules = match self {
            Self::Isolate(target) => strike.isolate(strike.resolve(target)),
            Self::Mute(target) => strike.mute(strike.resolve(target)),
            Self::Deafen(target) => {
                let node = strike.resolve(target);
                strike.others(node).map(|other| Rule::Cut(other, node)).collect()
            }
            Self::Loss(p) => vec![Rule::Loss(p)],
            Self::Duplicate(p) => vec![Rule::Duplicate(p)],
            Self::Delay(ms) => vec![Rule::Delay(Duration::from_millis(ms))],
            Self::Lag(target, ms) => {
                let (node, most) = (strike.resolve(target), Duration::from_millis(ms));
                let both = |other| [Rule::Lag(node, other, most), Rule::Lag(other, node, most)];
                strike.others(node).flat_map(both).collect()
            }
            Self::Damage(p) => vec![Rule::Damage(p)],
        };
        strike.during(rules, Duration::ZERO).await;
    }
}

impl Strike {
    /// Lets the others hear nothing of a node.
    pub(super) fn mute(&self, node: Place) -> Vec<Rule> {
        self.others(node).map(|other| Rule::Cut(node, other)).collect()
    }

    /// Cuts a node off from the others, both ways.
    pub(super) fn isolate(&self, node: Place) -> Vec<Rule> {
        self.others(node).flat_map(|other| [Rule::Cut(node, other), Rule::Cut(other, node)]).collect()
    }
}
