//! Looks for the smallest plan that fails as a given one does.
//!
//! Everything that can go is left out, one thing at a time, and stays out when the same invariant still does not hold. Leaving
//! something out changes every later draw, so a plan that is tried and does not fail is tried with a few more seeds.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use crate::{
    faults::Planned,
    net::Latency,
    plan::{Heal, Plan},
    probes::Buggify,
    run::{Options, Report, run_as},
};

/// With how many seeds a smaller plan is tried.
const SEEDS_TRIED: u32 = 3;

/// What was found.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The smallest plan that fails.
    pub plan: Plan,
    /// What it shows.
    pub report: Report,
    /// How many runs it took.
    pub runs: u32,
}

/// Shrinks a plan whose run did not keep an invariant, for so long in real time; `tell` hears of each smaller one.
///
/// Returns `None` when the run, ended at its first violation, keeps this invariant.
pub fn shrink(plan: &Plan, invariant: &str, budget: Duration, tell: impl FnMut(&Plan)) -> Option<Shrunk> {
    let report = failing(plan, invariant)?;
    let mut search = Search {
        invariant,
        until: Instant::now() + budget,
        best: Shrunk { plan: plan.clone(), report, runs: 1 },
        rng: SmallRng::seed_from_u64(plan.seed),
        tell,
    };
    while search.round() {}
    Some(search.best)
}

/// The report of a plan, if this invariant is the first that is not kept.
fn failing(plan: &Plan, invariant: &str) -> Option<Report> {
    let report = run_as(plan, &Options { ends_at_violation: true, ..Options::default() });
    let is_same = report.violations.first().is_some_and(|first| first.invariant == invariant);
    is_same.then_some(report)
}

struct Search<'a, T> {
    invariant: &'a str,
    until: Instant,
    best: Shrunk,
    rng: SmallRng,
    tell: T,
}

impl<T: FnMut(&Plan)> Search<'_, T> {
    /// Tries to leave out everything once; says whether anything went and there is time left.
    fn round(&mut self) -> bool {
        let mut is_smaller = self.cut_time();
        is_smaller |= self.try_plan(|plan| plan.requests.clients = 0);
        is_smaller |= self.try_plan(|plan| plan.load.clients = 0);
        is_smaller |= self.try_plan(|plan| plan.load.clients = plan.load.clients.min(1));
        is_smaller |= self.try_plan(|plan| plan.requests.clients = plan.requests.clients.min(1));
        is_smaller |= self.try_plan(|plan| plan.tailing.tailers = 0);
        is_smaller |= self.try_plan(|plan| plan.tailing.tailers = plan.tailing.tailers.min(1));
        is_smaller |= self.thin_out();
        is_smaller |= self.try_plan(|plan| plan.nodes = if plan.nodes > 3 { plan.nodes - 2 } else { 1 });
        is_smaller |= self.try_plan(|plan| plan.buggify = Buggify::Off);
        is_smaller |= self.try_plan(|plan| plan.heal = Heal::All);
        is_smaller |= self.try_plan(|plan| plan.latency = Latency::Lan);
        is_smaller |= self.try_plan(|plan| plan.load.keys = 1);
        is_smaller |= self.shorten();
        is_smaller && self.has_time()
    }

    /// Ends the faults just after what went wrong, and then twice as early.
    fn cut_time(&mut self) -> bool {
        let at = self.best.report.violations.first().map_or(0, |first| first.at_us);
        let after = Duration::from_secs(at / 1_000_000 + 1);
        let mut is_smaller = self.try_plan(|plan| end_at(plan, after));
        while self.try_plan(|plan| end_at(plan, (plan.safety / 2).max(Duration::from_secs(1)))) {
            is_smaller = true;
        }
        is_smaller
    }

    /// Leaves faults out: halves, then quarters, down to single ones.
    fn thin_out(&mut self) -> bool {
        let mut is_smaller = false;
        let mut chunk = self.best.plan.schedule.len().div_ceil(2);
        while chunk > 0 {
            let mut from = 0;
            while from < self.best.plan.schedule.len() {
                let to = (from + chunk).min(self.best.plan.schedule.len());
                if self.try_plan(|plan| drop(plan.schedule.drain(from..to))) {
                    is_smaller = true;
                } else {
                    from = to;
                }
            }
            chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
        }
        is_smaller
    }

    /// Halves how long each fault lasts.
    fn shorten(&mut self) -> bool {
        let mut is_smaller = false;
        for number in 0..self.best.plan.schedule.len() {
            let halve = |planned: &mut Planned| {
                let millis = planned.lasts.as_millis() as u64;
                planned.lasts = Duration::from_millis(if millis > 200 { millis / 2 } else { millis });
            };
            is_smaller |= self.try_plan(|plan| halve(&mut plan.schedule[number]));
        }
        is_smaller
    }

    /// Keeps a change that makes a difference and still fails.
    fn try_plan(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.best.plan.clone();
        change(&mut plan);
        if plan == self.best.plan {
            return false;
        }
        for _ in 0..SEEDS_TRIED {
            if !self.has_time() {
                return false;
            }
            self.best.runs += 1;
            if let Some(report) = failing(&plan, self.invariant) {
                (self.tell)(&plan);
                self.best = Shrunk { plan, report, runs: self.best.runs };
                return true;
            }
            plan.seed = self.rng.random_range(0..1_000_000);
        }
        false
    }

    fn has_time(&self) -> bool {
        Instant::now() < self.until
    }
}

fn end_at(plan: &mut Plan, end: Duration) {
    plan.safety = plan.safety.min(end);
    plan.schedule.retain(|planned| planned.at < end);
}
