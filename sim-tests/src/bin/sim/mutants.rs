//! Planted bugs.

use capstan_sim_tests::{
    mutants::Mutant,
    sweep::{Sweep, sweep},
};
use clap::ValueEnum;

use crate::{one, sweep::Seeds};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    seeds: Seeds,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let Seeds { from, count, jobs, budget, .. } = args.seeds;
    let mut all_caught = true;
    let mut summaries = Vec::new();
    for mutant in Mutant::value_variants() {
        let summary = sweep(&Sweep { from, count, jobs, budget, mutant: Some(*mutant) }, |_| {});
        let caught = summary.failed.len();
        let first = summary.failed.first();
        println!(
            "{:<22} caught in {caught:>3} of {} seeds{}",
            one::name(*mutant),
            summary.seeds,
            first.map(|seed| format!(", first in {seed}")).unwrap_or_default()
        );
        all_caught &= caught > 0;
        summaries.push((one::name(*mutant), summary));
    }
    args.seeds.write_json(&summaries)?;
    Ok(all_caught)
}
