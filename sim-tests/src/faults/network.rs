//! Messages that are lost, late, doubled, or do not get through at all.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::SliceRandom};
use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use super::{Fault, Kind, Strike, Target};
use crate::net::{CLIENTS, Place, Rule, Stranger};

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
    /// Nothing gets from the first node to the second.
    OneWay(Target, Target),
    /// The nodes whose bit is set, that of node 1 being the lowest, and the others do not reach each other.
    Partition(u64),
    /// The leader and as many others as make no majority are cut off from the rest. Which others follows from the number.
    LeaderInMinority(u64),
    /// Two halves do not reach each other, and this node reaches both.
    Bridge(Target),
    /// Every message is lost with this probability.
    Loss(f64),
    /// Every answer to a client or to a forwarded batch is lost with this probability.
    AnswerLoss(f64),
    /// Every message arrives twice with this probability.
    Duplicate(f64),
    /// What was done is asked for again with this probability, up to a minute later.
    Replay(f64),
    /// Every message takes up to so many milliseconds longer.
    Delay(u64),
    /// Messages between a node and the others take up to so many milliseconds longer; clients reach all as fast as ever.
    Lag(Target, u64),
    /// Every piece of a snapshot arrives with one bit wrong with this probability.
    Damage(f64),
    /// Every message takes 0.1 to 5 s longer with this probability.
    Spikes(f64),
    /// Every message is overtaken with this probability, by those of other channels at least.
    Reorder(f64),
    /// What goes from the first node to the second waits, and comes in a burst at the end.
    Clog(Target, Target),
    /// Nodes are clogged one by one, and released in another order. Which, and when, follows from the number.
    Swizzle(u64),
    /// Every call breaks its connection with this probability.
    Breaks(f64),
    /// Every message of openraft's is cut short with this probability.
    Truncate(f64),
    /// A node takes no call before the end; what it asks itself is answered.
    HalfOpen(Target),
    /// No way between two places carries more than so many bytes a second.
    Bandwidth(u64),
    /// At the address of the first node the second one answers.
    WrongPeer(Target, Target),
    /// At a node's address one of another cluster answers.
    OtherCluster(Target),
    /// Clients and a node do not reach each other.
    ClientsApart(Target),
}

pub(super) const KINDS: &[Kind] = &[
    Kind::silencing(|draw| Fault::Network(NetworkFault::Isolate(draw.target()))),
    Kind::silencing(|draw| Fault::Network(NetworkFault::Mute(draw.target()))),
    Kind::silencing(|draw| Fault::Network(NetworkFault::Deafen(draw.target()))),
    Kind::new(|draw| Fault::Network(NetworkFault::OneWay(draw.target(), draw.target()))),
    Kind::new(|draw| Fault::Network(NetworkFault::Partition(draw.rng.random_range(1..1 << draw.nodes)))),
    Kind::silencing(|draw| Fault::Network(NetworkFault::LeaderInMinority(draw.rng.random()))),
    Kind::new(|draw| Fault::Network(NetworkFault::Bridge(draw.target()))),
    Kind::new(|draw| Fault::Network(NetworkFault::Loss(draw.odds(0.01, 0.3)))),
    Kind::new(|draw| Fault::Network(NetworkFault::AnswerLoss(draw.odds(0.02, 1.0)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Duplicate(draw.odds(0.01, 0.5)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Replay(draw.odds(0.01, 0.5)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Delay(draw.rng.random_range(5..300)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Lag(draw.target(), draw.rng.random_range(20..400)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Damage(draw.rng.random_range(0.05..0.5)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Spikes(draw.odds(0.001, 0.1)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Reorder(draw.odds(0.02, 0.8)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Clog(draw.target(), draw.target()))),
    Kind::new(|draw| Fault::Network(NetworkFault::Swizzle(draw.rng.random()))),
    Kind::new(|draw| Fault::Network(NetworkFault::Breaks(draw.odds(0.002, 0.2)))),
    Kind::new(|draw| Fault::Network(NetworkFault::Truncate(draw.odds(0.002, 0.2)))),
    Kind::new(|draw| Fault::Network(NetworkFault::HalfOpen(draw.target()))),
    Kind::new(|draw| Fault::Network(NetworkFault::Bandwidth(draw.log_uniform(2_000.0, 1e6) as u64))),
    Kind::new(|draw| Fault::Network(NetworkFault::WrongPeer(draw.target(), draw.target()))),
    Kind::new(|draw| Fault::Network(NetworkFault::OtherCluster(draw.target()))),
    Kind::new(|draw| Fault::Network(NetworkFault::ClientsApart(draw.target()))),
];

/// How late messages are that come at odd times, at least and at most.
const SPIKE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How late messages are that are overtaken, at least and at most.
const OVERTAKEN: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(200));

impl NetworkFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        let rules = match self {
            Self::Isolate(target) => strike.isolate(strike.resolve(target)),
            Self::Mute(target) => strike.mute(strike.resolve(target)),
            Self::Deafen(target) => {
                let node = strike.resolve(target);
                strike.others(node).map(|other| Rule::Cut(other, node)).collect()
            }
            Self::OneWay(from, to) => strike.two(from, to, Rule::Cut),
            Self::Partition(side) => {
                let (one, other): (Vec<Place>, Vec<Place>) =
                    strike.world.machines.net.nodes().partition(|node| side >> (node - 1) & 1 == 1);
                apart(&one, &other)
            }
            Self::LeaderInMinority(choice) => strike.leader_in_minority(choice),
            Self::Bridge(target) => {
                let bridge = strike.resolve(target);
                bridged(&strike.others(bridge).collect::<Vec<_>>())
            }
            Self::Loss(p) => vec![Rule::Loss(p)],
            Self::AnswerLoss(p) => vec![Rule::AnswerLoss(p)],
            Self::Duplicate(p) => vec![Rule::Duplicate(p)],
            Self::Replay(p) => vec![Rule::Replay(p)],
            Self::Delay(ms) => vec![Rule::Delay(Duration::from_millis(ms))],
            Self::Lag(target, ms) => {
                let (node, most) = (strike.resolve(target), Duration::from_millis(ms));
                let both = |other| [Rule::Lag(node, other, most), Rule::Lag(other, node, most)];
                strike.others(node).flat_map(both).collect()
            }
            Self::Damage(p) => vec![Rule::Damage(p)],
            Self::Spikes(odds) => vec![Rule::Late { odds, by: SPIKE }],
            Self::Reorder(odds) => vec![Rule::Late { odds, by: OVERTAKEN }],
            Self::Clog(from, to) => strike.two(from, to, Rule::Clog),
            Self::Swizzle(choice) => return strike.swizzle(choice).await,
            Self::Breaks(p) => vec![Rule::Break(p)],
            Self::Truncate(p) => vec![Rule::Truncate(p)],
            Self::HalfOpen(target) => vec![Rule::HalfOpen(strike.resolve(target))],
            Self::Bandwidth(bytes) => vec![Rule::Bandwidth(bytes)],
            Self::WrongPeer(dialled, answers) => {
                let (dialled, answers) = (strike.resolve(dialled), strike.resolve(answers));
                if dialled == answers {
                    return;
                }
                strike.misroute(dialled, Stranger::Node(answers))
            }
            Self::OtherCluster(target) => strike.misroute(strike.resolve(target), Stranger::OtherCluster),
            Self::ClientsApart(target) => apart(&[CLIENTS], &[strike.resolve(target)]),
        };
        strike.during(rules, Duration::ZERO).await;
    }
}

/// Cuts two groups off from each other.
fn apart(one: &[Place], other: &[Place]) -> Vec<Rule> {
    let pairs = one.iter().flat_map(|a| other.iter().map(move |b| (*a, *b)));
    pairs.flat_map(|(a, b)| [Rule::Cut(a, b), Rule::Cut(b, a)]).collect()
}

/// Cuts the two halves of all nodes but one off from each other.
pub(super) fn bridged(others: &[Place]) -> Vec<Rule> {
    let (one, other) = others.split_at(others.len() / 2);
    apart(one, other)
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

    /// A rule for the way from one node to another; none when they are the same.
    fn two(&self, from: Target, to: Target, rule: fn(Place, Place) -> Rule) -> Vec<Rule> {
        let (from, to) = (self.resolve(from), self.resolve(to));
        if from == to { Vec::new() } else { vec![rule(from, to)] }
    }

    fn leader_in_minority(&self, choice: u64) -> Vec<Rule> {
        let leader = self.resolve(Target::Leader);
        let mut others: Vec<Place> = self.others(leader).collect();
        others.shuffle(&mut SmallRng::seed_from_u64(choice));
        // Of an even number of nodes half are no majority either.
        let company = others.len().div_ceil(2).saturating_sub(1);
        let majority = others.split_off(company);
        others.push(leader);
        apart(&others, &majority)
    }

    fn misroute(&self, dialled: Place, stranger: Stranger) -> Vec<Rule> {
        self.others(dialled).map(|from| Rule::Misroute(from, dialled, stranger)).collect()
    }

    /// Clogs some nodes one after the other in the first half of its time, and releases them in the second.
    async fn swizzle(&self, choice: u64) {
        let net = &self.world.machines.net;
        let mut rng = SmallRng::seed_from_u64(choice);
        let mut chosen: Vec<Place> = net.nodes().filter(|_| rng.random_bool(0.5)).collect();
        let pause = self.lasts / (2 * chosen.len().max(1) as u32);
        let clogged = |nodes: &[Place]| -> Vec<Rule> {
            nodes
                .iter()
                .flat_map(|node| self.others(*node).map(|other| (*node, other)))
                .flat_map(|(node, other)| [Rule::Clog(node, other), Rule::Clog(other, node)])
                .collect()
        };
        chosen.shuffle(&mut rng);
        for count in 1..=chosen.len() {
            net.begin(self.number, clogged(&chosen[..count]));
            tokio::time::sleep(pause).await;
        }
        chosen.shuffle(&mut rng);
        while chosen.pop().is_some() {
            net.begin(self.number, clogged(&chosen));
            tokio::time::sleep(pause).await;
        }
        net.end(self.number);
    }
}
