//! Runs simulated clusters: one plan, many seeds, planted bugs, or those that once failed. `README.md` tells how to read what it prints.

mod corpus;
mod determinism;
mod mutants;
mod one;
mod sweep;
mod tables;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Simulates whole clusters in virtual time.
#[derive(Parser)]
#[command(name = "sim", args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    one: one::Args,
}

#[derive(Subcommand)]
enum Command {
    /// Runs many seeds, says which failed, and what was covered.
    Sweep(sweep::Args),
    /// Plants each known bug and says in how many seeds it is caught; fails when one never is.
    Mutants(mutants::Args),
    /// Runs the plans that once failed.
    Corpus(corpus::Args),
    /// Runs each seed twice, among others and in a process of its own; fails when its events differ.
    Determinism(determinism::Args),
}

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_default_env() {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    let is_well = match cli.command {
        None => one::run(&cli.one)?,
        Some(Command::Sweep(args)) => sweep::run(&args)?,
        Some(Command::Mutants(args)) => mutants::run(&args)?,
        Some(Command::Corpus(args)) => corpus::run(&args)?,
        Some(Command::Determinism(args)) => determinism::run(&args)?,
    };
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
