//! Plans that once failed.

use std::path::PathBuf;

use capstan_sim_tests::{corpus, report, run};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The folder that holds them; without it, the one that comes with the simulator.
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    let folder = args.folder.clone().unwrap_or_else(corpus::folder);
    let plans = corpus::read(&folder)?;
    let mut failed = 0;
    for (path, plan) in &plans {
        let report = run::run(plan);
        let is_well = report.violations.is_empty();
        println!("{:<8} {}", if is_well { "holds" } else { "FAILS" }, path.display());
        if !is_well {
            failed += 1;
            println!("{}", report::failure(plan, &report::replay_of(path, None)));
        }
    }
    println!("{} plans, {failed} failed", plans.len());
    Ok(failed == 0)
}
