//! Runs simulated clusters: one seed, many seeds, or planted bugs.

use std::{path::PathBuf, process::ExitCode};

use capstan_sim_tests::run::{Plan, run};
use clap::Parser;

#[derive(Parser)]
struct Args {
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[arg(long)]
    trace: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let plan = Plan { trace: args.trace, ..Plan::from_seed(args.seed) };
    let started = std::time::Instant::now();
    let report = run(&plan);
    println!("{}", report.story());
    println!(
        "seed {} hash {:016x} events {} tally {:?} ops {} unknown {} virtual {:?} wall {:?}",
        report.seed, report.trace.hash, report.trace.events, report.tally, report.operations, report.unknown,
        report.virtual_time, started.elapsed()
    );
    if report.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
