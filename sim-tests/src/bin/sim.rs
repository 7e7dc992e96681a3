//! Runs simulated clusters: one seed, many seeds, or planted bugs. `README.md` tells how to read what it prints.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context;
use capstan_sim_tests::{
    mutants::{self, Mutant},
    run::{Plan, Report, run},
    sweep::{Summary, Sweep, sweep},
};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Simulates whole clusters in virtual time.
#[derive(Parser)]
#[command(name = "sim", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    one: One,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds and says which failed.
    Sweep(Many),
    /// Plants each known bug and says in how many seeds it is caught; fails when one never is.
    Mutants(Many),
}

/// One seed.
#[derive(Args)]
struct One {
    /// What the whole run follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Writes every event to this file, a line of JSON each.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Runs the seed twice and fails when the runs differ.
    #[arg(long)]
    check_determinism: bool,
    /// Plants a bug.
    #[arg(long)]
    mutant: Option<Mutant>,
}

/// Many seeds.
#[derive(Args)]
struct Many {
    /// The first seed.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// How many.
    #[arg(long, default_value_t = 20)]
    count: u64,
    /// How many at a time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Writes the summary to this file as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let is_well = match cli.command {
        None => one(&cli.one),
        Some(Command::Sweep(many)) => sweep_all(&many)?,
        Some(Command::Mutants(many)) => hunt(&many)?,
    };
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn one(one: &One) -> bool {
    println!("seed {}", one.seed);
    mutants::plant(one.mutant);
    let plan = Plan { trace: one.trace.clone(), ..Plan::from_seed(one.seed) };
    for planned in &plan.schedule {
        println!(
            "  {:>9.3} s for {:>5} ms: {:?}",
            planned.at.as_secs_f64(),
            planned.lasts.as_millis(),
            planned.fault
        );
    }
    let report = run(&plan);
    println!("{report}");
    let is_same = !one.check_determinism || is_repeated(&plan, &report);
    let is_well = report.violations.is_empty() && is_same;
    if !is_well {
        println!("{}", reproduce(one.seed, one.mutant));
    }
    is_well
}

fn is_repeated(plan: &Plan, first: &Report) -> bool {
    let again = run(&Plan { trace: None, ..plan.clone() });
    if again.trace == first.trace {
        println!("deterministic: the second run had the same {} events", again.trace.events);
        return true;
    }
    let hashes = first.trace.hashes.iter().zip(&again.trace.hashes);
    let differs_after = hashes.take_while(|(a, b)| a == b).count() * 1_000;
    println!("not deterministic: the runs differ within the thousand events after event {differs_after}");
    false
}

fn sweep_all(many: &Many) -> anyhow::Result<bool> {
    println!("seeds {} to {}", many.from, many.from + many.count - 1);
    let summary = run_many(many, None, |report| {
        if !report.violations.is_empty() {
            println!("{report}\n{}", reproduce(report.seed, None));
        }
    });
    println!(
        "{} seeds, {} failed; {:.0} virtual s in {:.1} CPU s ({:.0} to 1); {} calls, {} unknown, {}; snapshots sent in {} seeds",
        summary.seeds,
        summary.failed.len(),
        summary.virtual_secs,
        summary.cpu_secs,
        summary.speed(),
        summary.operations,
        summary.unknown,
        summary.tally,
        summary.installing,
    );
    write_json(many, &summary)?;
    if let Some(first) = summary.failed.first() {
        println!("failed: {:?}\n{}", summary.failed, reproduce(*first, None));
    }
    Ok(summary.failed.is_empty())
}

fn hunt(many: &Many) -> anyhow::Result<bool> {
    let mut all_caught = true;
    let mut summaries = Vec::new();
    for mutant in Mutant::value_variants() {
        let summary = run_many(many, Some(*mutant), |_| {});
        let caught = summary.failed.len();
        let first = summary.failed.first();
        println!(
            "{:<22} caught in {caught:>3} of {} seeds{}",
            name(*mutant),
            summary.seeds,
            first.map(|seed| format!(", first in {seed}")).unwrap_or_default()
        );
        all_caught &= caught > 0;
        summaries.push((name(*mutant), summary));
    }
    write_json(many, &summaries)?;
    Ok(all_caught)
}

fn run_many(many: &Many, mutant: Option<Mutant>, tell: impl FnMut(&Report)) -> Summary {
    sweep(&Sweep { from: many.from, count: many.count, jobs: many.jobs, mutant }, tell)
}

fn write_json(many: &Many, what: &impl serde::Serialize) -> anyhow::Result<()> {
    let Some(path) = &many.json else { return Ok(()) };
    let json = serde_json::to_vec_pretty(what).context("encode the summary")?;
    fs::write(path, json).with_context(|| format!("write {}", path.display()))
}

fn reproduce(seed: u64, mutant: Option<Mutant>) -> String {
    let mutant = mutant.map(|mutant| format!(" --mutant {}", name(mutant))).unwrap_or_default();
    format!("reproduce: script/sim --seed {seed}{mutant}")
}

fn name(mutant: Mutant) -> String {
    mutant.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
