//! What faults do to messages on their way.

use std::{collections::BTreeMap, time::Duration};

use capstan_raft_store::peer::Channel;
use rand::{RngExt, rngs::SmallRng};

use super::latency::Latency;

/// A node, or 0 for the clients.
pub type Place = u64;

/// How late what was sent before may still arrive.
const LATE_MAX: Duration = Duration::from_secs(60);

/// One thing that is wrong with the network. Probabilities are of each message for itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// Nothing gets from the first to the second.
    Cut(Place, Place),
    /// Nothing gets from the first to the second on one kind of their connections.
    CutChannel(Place, Place, Channel),
    /// What goes from the first to the second waits, and comes in a burst when this ends.
    Clog(Place, Place),
    /// Peers and clients reach the node, and it takes none of their calls before this ends; what it asks itself is answered.
    HalfOpen(Place),
    /// A message is lost.
    Loss(f64),
    /// The answer to a client or to a forwarded batch is lost: what was asked for was done.
    AnswerLoss(f64),
    /// A message arrives twice.
    Duplicate(f64),
    /// What was done, and what one may ask for twice, is asked for once more, up to a minute later.
    Replay(f64),
    /// Each message takes up to this much longer.
    Delay(Duration),
    /// Each message from the first to the second takes up to this much longer.
    Lag(Place, Place, Duration),
    /// A message is late. On a channel that keeps order those behind it wait for it.
    Late {
        /// How likely.
        odds: f64,
        /// By how much at least, and at most.
        by: (Duration, Duration),
    },
    /// The connection breaks: before the call got through, or before its answer did.
    Break(f64),
    /// A message of openraft's is cut short, in a frame that is whole.
    Truncate(f64),
    /// A piece of a snapshot has one bit wrong.
    Damage(f64),
    /// Each way between two places carries no more than so many bytes a second.
    Bandwidth(u64),
    /// The address at which the first finds the second leads to someone else.
    Misroute(Place, Place, Stranger),
}

/// Who answers at an address that is not its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// Another node of the cluster, or the caller itself.
    Node(Place),
    /// A node of the same id in a cluster of its own.
    OtherCluster,
}

/// Where a message goes, and as what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) leg: Leg,
    /// `None` for clients.
    pub(super) channel: Option<Channel>,
    pub(super) bytes: usize,
    /// How often it may arrive.
    pub(super) copies_max: u32,
}

/// There, or back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Leg {
    Call,
    Answer,
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
    /// Whether it waits for the end of a rule.
    pub(super) is_held: bool,
    /// The least bandwidth on its way, in bytes a second.
    pub(super) bandwidth: Option<u64>,
}

impl Rules {
    pub(super) fn new(latency: Latency) -> Self {
        Self { latency, active: BTreeMap::new() }
    }

    /// Takes the place of what the fault has done so far; says whether there was any.
    pub(super) fn begin(&mut self, fault: u64, rules: Vec<Rule>) -> bool {
        self.active.insert(fault, rules).is_some()
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

    /// Whether a message waits.
    pub(super) fn is_holding(&self, way: &Way) -> bool {
        self.all().any(|rule| rule.is_holding(way))
    }

    /// Who answers where `from` dials `to`, if it is not `to`.
    pub(super) fn stranger(&self, from: Place, to: Place) -> Option<Stranger> {
        self.all().find_map(|rule| match rule {
            Rule::Misroute(a, b, stranger) if (*a, *b) == (from, to) => Some(*stranger),
            _ => None,
        })
    }

    /// How long a message takes that no rule concerns.
    pub(super) fn latency(&self, rng: &mut SmallRng) -> Duration {
        self.latency.draw(rng)
    }

    /// Decides on a message. Draws as often whatever it decides, so that a rule more changes little else.
    pub(super) fn decide(&self, way: &Way, rng: &mut SmallRng) -> Fate {
        let mut fate = Fate { copies: 1, takes: self.latency(rng), is_held: false, bandwidth: None };
        let mut is_lost = false;
        let link = (way.from, way.to);
        for rule in self.all() {
            match rule {
                Rule::Cut(a, b) => is_lost |= (*a, *b) == link,
                Rule::CutChannel(a, b, channel) => {
                    is_lost |= (*a, *b) == link && way.channel == Some(*channel);
                }
                Rule::Clog(..) | Rule::HalfOpen(_) => fate.is_held |= rule.is_holding(way),
                Rule::Loss(p) => is_lost |= rng.random_bool(*p),
                Rule::AnswerLoss(p) => is_lost |= rng.random_bool(*p) && way.is_outcome(),
                Rule::Duplicate(p) => fate.copies += u32::from(rng.random_bool(*p)),
                Rule::Delay(most) => fate.takes += rng.random_range(Duration::ZERO..=*most),
                Rule::Lag(a, b, most) => {
                    let longer = rng.random_range(Duration::ZERO..=*most);
                    fate.takes += if (*a, *b) == link { longer } else { Duration::ZERO };
                }
                Rule::Late { odds, by } => {
                    let (is_late, late) = (rng.random_bool(*odds), rng.random_range(by.0..=by.1));
                    fate.takes += if is_late { late } else { Duration::ZERO };
                }
                Rule::Bandwidth(bytes) => {
                    fate.bandwidth = Some(fate.bandwidth.map_or(*bytes, |least| least.min(*bytes)));
                }
                Rule::Replay(_)
                | Rule::Break(_)
                | Rule::Truncate(_)
                | Rule::Damage(_)
                | Rule::Misroute(..) => {}
            }
        }
        if is_lost {
            fate.copies = 0;
        }
        fate
    }

    /// When what was just answered is asked for again, if it is.
    pub(super) fn replays(&self, rng: &mut SmallRng) -> Option<Duration> {
        self.draws(rng, |rule| if let Rule::Replay(p) = rule { Some(*p) } else { None }).then(|| late(rng))
    }

    /// Whether the connection of a call breaks under it.
    pub(super) fn breaks(&self, rng: &mut SmallRng) -> bool {
        self.draws(rng, |rule| if let Rule::Break(p) = rule { Some(*p) } else { None })
    }

    /// Whether a message arrives cut short.
    pub(super) fn truncates(&self, rng: &mut SmallRng) -> bool {
        self.draws(rng, |rule| if let Rule::Truncate(p) = rule { Some(*p) } else { None })
    }

    /// Whether a piece of a snapshot is damaged.
    pub(super) fn damages(&self, rng: &mut SmallRng) -> bool {
        self.draws(rng, |rule| if let Rule::Damage(p) = rule { Some(*p) } else { None })
    }

    fn draws(&self, rng: &mut SmallRng, odds: impl Fn(&Rule) -> Option<f64>) -> bool {
        self.all().filter_map(odds).fold(false, |so_far, p| rng.random_bool(p) | so_far)
    }

    fn all(&self) -> impl Iterator<Item = &Rule> {
        self.active.values().flatten()
    }
}

impl Rule {
    fn is_holding(&self, way: &Way) -> bool {
        match self {
            Self::Clog(from, to) => (*from, *to) == (way.from, way.to),
            Self::HalfOpen(node) => way.leg == Leg::Call && way.to == *node,
            _ => false,
        }
    }
}

impl Way {
    /// Whether it tells what became of something that was to change the state.
    fn is_outcome(&self) -> bool {
        self.leg == Leg::Answer && matches!(self.channel, None | Some(Channel::Forward))
    }
}

/// How late something is that was stuck on its way: as likely between 1 and 10 ms as between 6 and 60 s.
pub(super) fn late(rng: &mut SmallRng) -> Duration {
    let decades = rng.random_range(0.0..(LATE_MAX.as_secs_f64() * 1_000.0).log10());
    Duration::from_secs_f64(10_f64.powf(decades) / 1_000.0)
}
