//! Many seeds on several threads; each run has a thread to itself while it lasts, and shares nothing with others.

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use serde::{Serialize, Serializer};

use crate::{
    coverage::Coverage,
    mutants::{self, Mutant},
    plan::Plan,
    run::{Report, run},
    tally::Tally,
};

/// A run of more real time than this hangs.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// Which seeds are run, and how.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The first seed.
    pub from: u64,
    /// How many, at the most.
    pub count: u64,
    /// How many at a time.
    pub jobs: usize,
    /// Real time after which no more are begun.
    pub budget: Option<Duration>,
    /// A bug planted into every run.
    pub mutant: Option<Mutant>,
}

/// What a sweep showed.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those that failed, in order.
    pub failed: Vec<u64>,
    /// Virtual time of all runs.
    pub virtual_time: Duration,
    /// Processor time of all runs.
    pub cpu_time: Duration,
    /// Real time from the first to the last.
    pub real_time: Duration,
    /// Calls of clients.
    pub operations: u64,
    /// Writes with an unknown outcome.
    pub unknown: u64,
    /// What happened in all of them; the highest log indexes are added up.
    pub tally: Tally,
    /// What was seen, and what was not.
    pub coverage: Coverage,
}

impl Summary {
    /// Virtual seconds for each second of one processor.
    pub fn virtual_per_cpu(&self) -> f64 {
        self.virtual_time.as_secs_f64() / self.cpu_time.as_secs_f64().max(f64::EPSILON)
    }

    /// Seeds in a minute of real time.
    pub fn seeds_per_minute(&self) -> f64 {
        60.0 * self.seeds as f64 / self.real_time.as_secs_f64().max(f64::EPSILON)
    }

    fn add(&mut self, report: &Report, cpu: Duration) {
        self.seeds += 1;
        if !report.violations.is_empty() {
            self.failed.push(report.seed);
            self.failed.sort_unstable();
        }
        self.virtual_time += report.virtual_time;
        self.cpu_time += cpu;
        self.operations += report.operations;
        self.unknown += report.unknown;
        self.tally += report.tally;
        self.coverage.add(&report.counts);
    }
}

/// For machines: `seeds` and `failed` are counts, times are in seconds.
impl Serialize for Summary {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            seeds: u64,
            failed: usize,
            failed_seeds: &'a [u64],
            virtual_per_cpu: f64,
            seeds_per_minute: f64,
            commits_per_seed: f64,
            virtual_secs: f64,
            cpu_secs: f64,
            real_secs: f64,
            calls: u64,
            unknown: u64,
            tally: &'a Tally,
            coverage: &'a Coverage,
        }
        let written = Written {
            seeds: self.seeds,
            failed: self.failed.len(),
            failed_seeds: &self.failed,
            virtual_per_cpu: self.virtual_per_cpu(),
            seeds_per_minute: self.seeds_per_minute(),
            commits_per_seed: self.tally.commits as f64 / self.seeds.max(1) as f64,
            virtual_secs: self.virtual_time.as_secs_f64(),
            cpu_secs: self.cpu_time.as_secs_f64(),
            real_secs: self.real_time.as_secs_f64(),
            calls: self.operations,
            unknown: self.unknown,
            tally: &self.tally,
            coverage: &self.coverage,
        };
        written.serialize(to)
    }
}

/// Runs the seeds; `tell` sees each report as it comes.
///
/// # Panics
/// A run hangs: its seed is named, and the process should end, because a thread cannot be stopped.
pub fn sweep(sweep: &Sweep, mut tell: impl FnMut(&Report)) -> Summary {
    let start = Instant::now();
    let next = Arc::new(AtomicU64::new(sweep.from));
    let end = sweep.from + sweep.count;
    let running: Arc<Mutex<BTreeMap<u64, Instant>>> = Arc::default();
    let (reports, finished) = mpsc::channel();
    for _ in 0..sweep.jobs.max(1) {
        let (next, running, reports) = (Arc::clone(&next), Arc::clone(&running), reports.clone());
        let (mutant, budget) = (sweep.mutant, sweep.budget);
        thread::spawn(move || {
            mutants::plant(mutant);
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end || budget.is_some_and(|budget| start.elapsed() >= budget) {
                    return;
                }
                running.lock().expect("nothing panics while holding it").insert(seed, Instant::now());
                let before = cpu_time();
                let report = run(&Plan::from_seed(seed));
                let cpu = cpu_time().saturating_sub(before);
                running.lock().expect("nothing panics while holding it").remove(&seed);
                if reports.send((report, cpu)).is_err() {
                    return;
                }
            }
        });
    }
    drop(reports);
    let mut summary = Summary::default();
    loop {
        match finished.recv_timeout(Duration::from_secs(1)) {
            Ok((report, cpu)) => {
                summary.add(&report, cpu);
                summary.real_time = start.elapsed();
                tell(&report);
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                let running = running.lock().expect("nothing panics while holding it");
                let hanging = running.iter().find(|(_, since)| since.elapsed() > HANGS_AFTER);
                assert!(hanging.is_none(), "the run of seed {:?} hangs", hanging.map(|(seed, _)| seed));
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => return summary,
        }
    }
}

/// The processor time of this thread, as Linux counts it; where it does not, the time of day stands in.
fn cpu_time() -> Duration {
    let counted = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = counted.and_then(|text| text.split_whitespace().next()?.parse().ok());
    nanos.map_or_else(since_first_call, Duration::from_nanos)
}

fn since_first_call() -> Duration {
    thread_local! {
        static FIRST: Instant = Instant::now();
    }
    FIRST.with(Instant::elapsed)
}
