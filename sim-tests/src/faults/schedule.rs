//! Draws a schedule.

use std::time::Duration;

use capstan_raft_store::timing::Timing;
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{Draw, Kind, Planned, families, guided, staged};

/// How likely a pick of a schedule is a strike at one of the most critical places instead.
const GUIDED_ODDS: f64 = 0.2;

/// How likely a schedule with few faults has one that is set up step by step, again and again.
const STAGED_ODDS: f64 = 0.6;

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
    // A node is given up only by a leader that has listened in peace for long enough: some schedules have few faults, and long ones.
    let is_calm = rng.random_bool(0.4);
    let (kind_odds, gap_ms_most, long_odds) = if is_calm { (0.15, 12_000, 0.7) } else { (0.4, 6_000, 0.1) };
    let some =
        families().map(|kinds| kinds.iter().filter(|_| rng.random_bool(kind_odds)).collect::<Vec<&Kind>>());
    let mut drawn: Vec<Vec<&Kind>> = some.into_iter().filter(|kinds| !kinds.is_empty()).collect();
    if is_calm {
        // What takes several steps comes to its end only where little else goes wrong meanwhile.
        let is_staged = rng.random_bool(STAGED_ODDS);
        let silencing = || families().into_iter().flatten().filter(|kind| kind.silences);
        let pool: Vec<&Kind> = if is_staged { staged::KINDS.iter().collect() } else { silencing().collect() };
        let one = pool[rng.random_range(0..pool.len())];
        drawn.extend(std::iter::repeat_n(vec![one], 3));
    }
    let gap_ms_max = rng.random_range(500..gap_ms_most);
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
        let is_guided = !is_calm && rng.random_bool(GUIDED_ODDS);
        let fault = if is_guided { guided::critical(&mut draw) } else { (kind.draw)(&mut draw) };
        planned.push(Planned { at, lasts, fault });
    }
    planned
}
