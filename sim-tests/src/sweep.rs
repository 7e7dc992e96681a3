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

use serde::Serialize;

use crate::{
    mutants::{self, Mutant},
    run::{Plan, Report, run},
    tally::Tally,
};

/// A run of more real time than this hangs.
const HANGS_AFTER: Duration = Duration::from_secs(300);

/// Which seeds are run, and how.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub count: u64,
    /// How many at a time.
    pub jobs: usize,
    /// A bug planted into every run.
    pub mutant: Option<Mutant>,
}

/// What a sweep showed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those that failed, in order.
    pub failed: Vec<u64>,
    /// Virtual time of all runs, in seconds.
    pub virtual_secs: f64,
    /// Processor time of all runs, in seconds.
    pub cpu_secs: f64,
    /// Calls of clients.
    pub operations: u64,
    /// Writes with an unknown outcome.
    pub unknown: u64,
    /// Seeds in which a snapshot went from one node to another.
    pub installing: u64,
    /// What happened in all of them; the highest log indexes are added up.
    pub tally: Tally,
}

impl Summary {
    /// Virtual seconds for each second of one processor.
    pub fn speed(&self) -> f64 {
        self.virtual_secs / self.cpu_secs.max(f64::EPSILON)
    }

    fn add(&mut self, report: &Report, cpu: Duration) {
        self.seeds += 1;
        if !report.violations.is_empty() {
            self.failed.push(report.seed);
            self.failed.sort_unstable();
        }
        self.virtual_secs += report.virtual_time.as_secs_f64();
        self.cpu_secs += cpu.as_secs_f64();
        self.operations += report.operations;
        self.unknown += report.unknown;
        self.installing += u64::from(report.tally.snapshot_steps > 0);
        self.tally += report.tally;
    }
}

/// Runs the seeds; `tell` sees each report as it comes.
///
/// # Panics
/// A run hangs: its seed is named, and the process should end, because a thread cannot be stopped.
pub fn sweep(sweep: &Sweep, mut tell: impl FnMut(&Report)) -> Summary {
    let next = Arc::new(AtomicU64::new(sweep.from));
    let end = sweep.from + sweep.count;
    let running: Arc<Mutex<BTreeMap<u64, Instant>>> = Arc::default();
    let (reports, finished) = mpsc::channel();
    for _ in 0..sweep.jobs.max(1) {
        let (next, running, reports, mutant) =
            (Arc::clone(&next), Arc::clone(&running), reports.clone(), sweep.mutant);
        thread::spawn(move || {
            mutants::plant(mutant);
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
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
