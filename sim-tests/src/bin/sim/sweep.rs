//! Many seeds.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Context;
use capstan_sim_tests::{
    coverage::JUDGED_FROM,
    plan::Plan,
    report,
    run::Report,
    sweep::{Summary, Sweep, sweep},
};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{one, tables};

/// How many failures are told of in full.
const FAILURES_TOLD: usize = 3;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    seeds: Seeds,
    /// How long in real time the first failure is shrunk.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s")]
    shrink_for: Duration,
    /// Prints how often everything was seen, and not only what was never seen.
    #[arg(long)]
    coverage: bool,
}

/// Which seeds, and how many at a time.
#[derive(clap::Args)]
pub(crate) struct Seeds {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    pub(crate) from: u64,
    /// How many.
    #[arg(long, default_value_t = 20)]
    pub(crate) count: u64,
    /// How many at a time.
    #[arg(long, default_value_t = 2)]
    pub(crate) jobs: usize,
    /// Real time after which no more seeds are begun.
    #[arg(long, value_parser = humantime::parse_duration)]
    pub(crate) budget: Option<Duration>,
    /// Writes the summary to this file as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl Seeds {
    pub(crate) fn write_json(&self, what: &impl serde::Serialize) -> anyhow::Result<()> {
        let Some(path) = &self.json else { return Ok(()) };
        let json = serde_json::to_vec_pretty(what).context("encode the summary")?;
        fs::write(path, json).with_context(|| format!("write {}", path.display()))
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let seeds = &args.seeds;
    println!("seeds {} to {}", seeds.from, seeds.from + seeds.count - 1);
    let progress = progress(seeds.count);
    let mut failed: Vec<(u64, String)> = Vec::new();
    let wanted =
        Sweep { from: seeds.from, count: seeds.count, jobs: seeds.jobs, budget: seeds.budget, mutant: None };
    let summary = sweep(&wanted, |report| {
        progress.inc(1);
        if let Some(first) = report.violations.first() {
            progress.suspend(|| tell(report, failed.len()));
            failed.push((report.seed, first.invariant.clone()));
            progress.set_message(format!("{} failed", failed.len()));
        }
    });
    progress.finish_and_clear();
    if let Some((seed, invariant)) = failed.first() {
        one::shrink_and_save(&Plan::from_seed(*seed), invariant, args.shrink_for, None)?;
    }
    let is_covered = tell_coverage(&summary, args.coverage);
    println!("{}", tables::sweep(&summary));
    seeds.write_json(&summary)?;
    if !summary.failed.is_empty() {
        println!("failed: {:?}", summary.failed);
    }
    Ok(summary.failed.is_empty() && is_covered)
}

fn tell(report: &Report, told: usize) {
    if told < FAILURES_TOLD {
        println!(
            "{}",
            report::failure(&Plan::from_seed(report.seed), &report::replay_of_seed(report.seed, None))
        );
    } else if let Some(first) = report.violations.first() {
        println!("seed {}: not so: {}", report.seed, first.invariant);
    }
}

/// Prints what was seen, or only what was not; says whether all was that a sweep of this size must see.
fn tell_coverage(summary: &Summary, in_full: bool) -> bool {
    let coverage = &summary.coverage;
    if in_full {
        println!("{}", tables::coverage(coverage));
    }
    let (missed, unexpected) = (coverage.missed(summary.seeds), coverage.unexpected());
    let is_judged = summary.seeds >= JUDGED_FROM;
    for name in &missed {
        println!("never seen: {name}");
    }
    for name in &unexpected {
        println!("seen, but not in the list of what is expected: {name}");
    }
    if !is_judged && !missed.is_empty() {
        println!("coverage is judged from {JUDGED_FROM} seeds on");
    }
    unexpected.is_empty() && (missed.is_empty() || !is_judged)
}

fn progress(count: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos} of {len} seeds, {per_sec}, {eta} left {msg}");
    ProgressBar::new(count).with_style(style.expect("the template is legal"))
}
