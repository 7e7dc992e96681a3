//! The same seed, the same events.

use std::{collections::BTreeMap, path::PathBuf};

use capstan_sim_tests::{
    determinism,
    plan::Plan,
    sweep::{Sweep, sweep},
};

use crate::sweep::Seeds;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    seeds: Seeds,
    /// Another build of this program, by which the seeds are run alone: with and without debug assertions, say.
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let Seeds { from, count, jobs, budget, .. } = args.seeds;
    let mut among_others = BTreeMap::new();
    sweep(&Sweep { from, count, jobs, budget, mutant: None }, |report| {
        among_others.insert(report.seed, report.trace.hash);
    });
    let mut differing = Vec::new();
    for (seed, hash) in &among_others {
        let alone = match &args.against {
            Some(program) => determinism::hash_by(program, *seed)?,
            None => determinism::alone(*seed)?,
        };
        if alone == *hash {
            continue;
        }
        differing.push(*seed);
        println!("seed {seed}: {hash:016x} among others, {alone:016x} alone");
        if let Err(difference) = determinism::twice(&Plan::from_seed(*seed)) {
            println!("  two runs in this process part after {} events:", difference.same);
            for event in [difference.first, difference.second] {
                println!("  {}", event.map_or_else(|| "(ended)".to_owned(), |event| event.to_string()));
            }
        }
    }
    println!(
        "{} seeds, each among others and in a process of its own: {} differ",
        among_others.len(),
        differing.len()
    );
    args.seeds.write_json(&differing)?;
    Ok(differing.is_empty())
}
