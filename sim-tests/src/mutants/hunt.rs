//! Plants bugs one at a time, and sees in how many seeds each is caught, and by what.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Area, Mutant, plant};
use crate::{
    plan::Plan,
    run::{Options, run_as},
};

/// A run of more real time than this hangs.
const HANGS_AFTER: Duration = Duration::from_secs(120);

/// How long each bug is hunted.
#[derive(Debug, Clone)]
pub struct Hunt {
    /// The first seed.
    pub from: u64,
    /// How many seeds are tried at most.
    pub count: u64,
    /// How many seeds that catch it are enough.
    pub until_caught: usize,
    /// How many bugs are hunted at a time.
    pub jobs: usize,
}

/// How the hunt for one bug ended.
#[derive(Debug, Clone, Serialize)]
pub struct Hunted {
    /// The bug's name.
    pub name: &'static str,
    /// What it breaks.
    pub area: Area,
    /// Whether any seed caught it.
    pub caught: bool,
    /// How many seeds were tried until the first that caught it, or all that were.
    pub seeds: u64,
    /// How many seeds were tried.
    pub tried: u64,
    /// Real time.
    pub seconds: f64,
    /// The seeds that caught it.
    pub caught_seeds: Vec<u64>,
    /// What those violated first, the most frequent first.
    pub invariants: Vec<String>,
}

/// How a hunt goes.
#[derive(Debug)]
pub enum News<'a> {
    /// A seed is about to be tried on a bug.
    Tries {
        /// The bug.
        mutant: Mutant,
        /// The seed.
        seed: u64,
    },
    /// A bug is done with.
    Done(&'a Hunted),
}

/// Hunts some at a time; `tell` hears how it goes.
pub fn hunt(hunt: &Hunt, mutants: &[Mutant], mut tell: impl FnMut(News<'_>)) -> Vec<Hunted> {
    let (next, innocent) = (AtomicUsize::new(0), Innocent::default());
    let (sender, progress) = mpsc::channel();
    let mut done = BTreeMap::new();
    thread::scope(|scope| {
        for _ in 0..hunt.jobs.max(1) {
            let (sender, next, innocent) = (sender.clone(), &next, &innocent);
            scope.spawn(move || {
                let say = |step| sender.send(step).expect("who hears of it outlives the scope");
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(mutant) = mutants.get(place) else { return };
                    let hunted = hunt_one(hunt, *mutant, innocent, |seed| say(Step::Tries(*mutant, seed)));
                    say(Step::Done(place, hunted));
                }
            });
        }
        drop(sender);
        for step in progress {
            match step {
                Step::Tries(mutant, seed) => tell(News::Tries { mutant, seed }),
                Step::Done(place, hunted) => tell(News::Done(done.entry(place).or_insert(hunted))),
            }
        }
    });
    done.into_values().collect()
}

/// What a hunting thread says.
enum Step {
    Tries(Mutant, u64),
    Done(usize, Hunted),
}

fn hunt_one(hunt: &Hunt, mutant: Mutant, innocent: &Innocent, tell: impl Fn(u64)) -> Hunted {
    let start = Instant::now();
    let mut caught_seeds = Vec::new();
    let mut invariants: BTreeMap<String, u64> = BTreeMap::new();
    let mut tried = 0;
    for seed in hunt.from..hunt.from.saturating_add(hunt.count) {
        if caught_seeds.len() >= hunt.until_caught.max(1) {
            break;
        }
        tell(seed);
        tried += 1;
        if let Some(invariant) = violated(Some(mutant), seed)
            && innocent.is(seed)
        {
            caught_seeds.push(seed);
            *invariants.entry(invariant).or_default() += 1;
        }
    }
    let mut invariants: Vec<(String, u64)> = invariants.into_iter().collect();
    invariants.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Hunted {
        name: mutant.name,
        area: mutant.area,
        caught: !caught_seeds.is_empty(),
        seeds: caught_seeds.first().map_or(tried, |first| first - hunt.from + 1),
        tried,
        seconds: start.elapsed().as_secs_f64(),
        caught_seeds,
        invariants: invariants.into_iter().map(|(invariant, _)| invariant).collect(),
    }
}

/// What a run violates first, if anything. It has a thread of its own, so that one that hangs can be left behind.
fn violated(mutant: Option<Mutant>, seed: u64) -> Option<String> {
    let (sender, done) = mpsc::channel();
    thread::spawn(move || {
        plant(mutant);
        let options = Options { ends_at_violation: true, ..Options::default() };
        let first = run_as(&Plan::from_seed(seed), &options).violations.into_iter().next();
        // Whoever waited may have lost patience.
        drop(sender.send(first.map(|violation| violation.invariant)));
    });
    match done.recv_timeout(HANGS_AFTER) {
        Ok(first) => first,
        Err(mpsc::RecvTimeoutError::Timeout) => Some("a run ends".to_owned()),
        Err(mpsc::RecvTimeoutError::Disconnected) => Some("nothing panics".to_owned()),
    }
}

/// Which seeds fail without any bug: those catch nothing.
#[derive(Default)]
struct Innocent(Mutex<BTreeMap<u64, bool>>);

impl Innocent {
    fn is(&self, seed: u64) -> bool {
        let known = self.0.lock().expect("nothing panics while holding it").get(&seed).copied();
        known.unwrap_or_else(|| {
            let is_innocent = violated(None, seed).is_none();
            self.0.lock().expect("nothing panics while holding it").insert(seed, is_innocent);
            is_innocent
        })
    }
}

impl Hunted {
    /// How many seeds it took each time until one caught it.
    pub fn gaps(&self) -> Vec<u64> {
        let mut before = self.caught_seeds.first().map_or(0, |first| first - self.seeds);
        self.caught_seeds.iter().map(|seed| seed - std::mem::replace(&mut before, *seed)).collect()
    }
}

/// The lower of the two in the middle; `None` of nothing.
pub fn median(mut numbers: Vec<u64>) -> Option<u64> {
    numbers.sort_unstable();
    numbers.get(numbers.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants;

    #[test]
    fn gaps_count_from_the_seed_before() {
        let hunted = Hunted {
            name: "a",
            area: Area::Stop,
            caught: true,
            seeds: 3,
            tried: 21,
            seconds: 1.0,
            caught_seeds: vec![12, 13, 30],
            invariants: vec![],
        };
        assert_eq!(hunted.gaps(), [3, 1, 17]);
        assert_eq!(median(hunted.gaps()), Some(3));
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![4, 2]), Some(2));
    }

    #[test]
    fn a_hunt_ends_when_enough_seeds_have_caught_the_bug() {
        let mutants: Vec<Mutant> = ["any-parent-suffices", "membership-not-stored"]
            .into_iter()
            .map(|name| mutants::find(name).expect("it is in the table"))
            .collect();
        let hunted = hunt(&Hunt { from: 1, count: 30, until_caught: 2, jobs: 2 }, &mutants, |_| {});
        assert_eq!(
            hunted.iter().map(|one| one.name).collect::<Vec<_>>(),
            mutants.iter().map(|m| m.name).collect::<Vec<_>>()
        );
        for one in hunted {
            assert_eq!(one.caught_seeds.len(), 2, "{one:?}");
            assert_eq!(one.tried, one.caught_seeds[1], "none is tried behind the last: {one:?}");
        }
    }
}
