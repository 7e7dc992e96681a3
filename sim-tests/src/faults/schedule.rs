//! Draws a schedule.

use std::{ops::Range, time::Duration};

use capstan_raft_store::timing::Timing;
use rand::{RngExt, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{Draw, Kind, Planned, families, guided, staged};

/// How likely a pick of a crowded schedule is a strike at a failpoint instead.
const STRIKE_ODDS: f64 = 0.3;

/// What a schedule is drawn for.
#[derive(Debug, Clone)]
pub struct Swarm {
    /// What it follows from.
    pub seed: u64,
    /// How long things go wrong.
    pub time: Duration,
    /// How many nodes there are.
    pub nodes: u64,
    /// Their periods.
    pub timing: Timing,
}

/// Draws a schedule. Each kind of fault is in about half of them, or a quarter; what breaks is drawn before how, for there are many ways in which
/// a network fails and few in which a clock does.
pub fn schedule(swarm: &Swarm) -> Vec<Planned> {
    let mut rng = SmallRng::seed_from_u64(swarm.seed);
    let mood = Mood::draw(&mut rng);
    let kind_odds = mood.kind_odds();
    let some =
        families().map(|kinds| kinds.iter().filter(|_| rng.random_bool(kind_odds)).collect::<Vec<&Kind>>());
    let mut drawn: Vec<Vec<&Kind>> = some.into_iter().filter(|kinds| !kinds.is_empty()).collect();
    let (preferred, times) = mood.preferred();
    if let Some(one) = preferred.choose(&mut rng) {
        drawn.extend(std::iter::repeat_n(vec![*one], times));
    }
    let gap_ms_max = rng.random_range(mood.gap_ms_max());
    let long_odds = mood.long_odds();
    let long_ms = 4_000..(2 * swarm.timing.owner_lost_after).as_millis() as u64;
    let mut draw = Draw { rng: SmallRng::seed_from_u64(rng.random()), nodes: swarm.nodes };
    let mut planned = Vec::new();
    let mut at = Duration::from_secs(2);
    while !drawn.is_empty() {
        at += Duration::from_millis(rng.random_range(100..=gap_ms_max));
        if at >= swarm.time {
            break;
        }
        let lasts_ms = if rng.random_bool(long_odds) { long_ms.clone() } else { 50..4_000 };
        let lasts = Duration::from_millis(rng.random_range(lasts_ms));
        let family = &drawn[rng.random_range(0..drawn.len())];
        let kind = &family[rng.random_range(0..family.len())];
        let is_strike = mood == Mood::Crowded && rng.random_bool(STRIKE_ODDS);
        let fault = if is_strike { guided::somewhere(&mut draw) } else { (kind.draw)(&mut draw) };
        planned.push(Planned { at, lasts, fault });
    }
    planned
}

/// How much goes wrong at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// Much, and short.
    Crowded,
    /// Little, and long: a node is given up only by a leader that has listened in peace for long enough.
    Calm,
    /// Little, but one thing in several steps again and again: it comes to its end only where nothing else goes wrong meanwhile.
    Staged,
}

impl Mood {
    fn draw(rng: &mut SmallRng) -> Self {
        match rng.random_range(0..10) {
            0..6 => Self::Crowded,
            6 | 7 => Self::Calm,
            _ => Self::Staged,
        }
    }

    /// How likely a kind of fault is in the schedule at all.
    fn kind_odds(self) -> f64 {
        match self {
            Self::Crowded => 0.4,
            Self::Calm => 0.15,
            Self::Staged => 0.03,
        }
    }

    /// Of which kinds one is in the schedule for sure, and how many families of others it is worth.
    fn preferred(self) -> (Vec<&'static Kind>, usize) {
        match self {
            Self::Crowded => (Vec::new(), 0),
            Self::Calm => (families().into_iter().flatten().filter(|kind| kind.silences).collect(), 3),
            Self::Staged => (staged::KINDS.iter().collect(), 6),
        }
    }

    /// Between which two the longest pause between faults is drawn, in milliseconds.
    fn gap_ms_max(self) -> Range<u64> {
        match self {
            Self::Crowded => 500..6_000,
            Self::Calm => 500..12_000,
            Self::Staged => 12_000..24_000,
        }
    }

    /// How likely a fault is a long one.
    fn long_odds(self) -> f64 {
        match self {
            Self::Crowded => 0.1,
            Self::Calm => 0.7,
            Self::Staged => 0.2,
        }
    }
}
