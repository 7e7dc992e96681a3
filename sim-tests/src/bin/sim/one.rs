//! One plan.

use std::{path::PathBuf, time::Duration};

use capstan_sim_tests::{
    determinism,
    mutants::{self, Mutant},
    plan::Plan,
    report,
    run::{self, Options},
    shrink::shrink,
};
use indicatif::ProgressBar;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the whole run follows from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs the plan in this file in place of the one that the seed stands for.
    #[arg(long, value_name = "FILE", conflicts_with = "seed")]
    schedule: Option<PathBuf>,
    /// Writes the plan to this file, to be edited and run with --schedule.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Writes every event to this file, a line of JSON each.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// When it fails, looks for the smallest plan that fails in the same way, and saves it.
    #[arg(long)]
    shrink: bool,
    /// How long in real time that may take.
    #[arg(long, value_parser = humantime::parse_duration, default_value = "180s")]
    shrink_for: Duration,
    /// Runs it twice and fails when the runs differ, naming the first event that does.
    #[arg(long)]
    check_determinism: bool,
    /// Plants a bug; `sim mutants --list` names them.
    #[arg(long, value_parser = mutants::find)]
    mutant: Option<Mutant>,
    /// Prints the hash of all events and nothing else.
    #[arg(long, hide = true)]
    print_hash: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<bool> {
    mutants::plant(args.mutant);
    let plan = match &args.schedule {
        Some(file) => Plan::read(file)?,
        None => Plan::from_seed(args.seed),
    };
    if args.print_hash {
        println!("{:016x}", run::run(&plan).trace.hash);
        return Ok(true);
    }
    if let Some(file) = &args.save {
        plan.write(file)?;
    }
    let settings = Plan { schedule: Vec::new(), ..plan.clone() }.to_text();
    println!("{settings}\n{} faults\n{}", plan.schedule.len(), report::schedule(&plan));
    let report = run::run_as(&plan, &Options { trace: args.trace.clone(), ..Options::default() });
    println!("{report}");
    let is_same = !args.check_determinism || is_repeated(&plan);
    let Some(first) = report.violations.first() else { return Ok(is_same) };
    let mutant = args.mutant.map(|mutant| mutant.name);
    let replay = match &args.schedule {
        Some(file) => report::replay_of(file, mutant),
        None => report::replay_of_seed(args.seed, mutant),
    };
    if args.shrink {
        shrink_and_save(&plan, &first.invariant, args.shrink_for, mutant)?;
    } else {
        println!("\n{}", report::failure(&plan, &replay));
    }
    Ok(false)
}

/// Finds the smallest plan that fails in this way, keeps it in a file, and tells about it.
pub(crate) fn shrink_and_save(
    plan: &Plan,
    invariant: &str,
    budget: Duration,
    mutant: Option<&str>,
) -> anyhow::Result<()> {
    let progress = ProgressBar::new_spinner();
    progress.enable_steady_tick(Duration::from_millis(200));
    let shrunk = shrink(plan, invariant, budget, |smaller| {
        progress.set_message(format!(
            "shrinking: {} faults in {:?}, {} nodes, {} + {} clients",
            smaller.schedule.len(),
            smaller.safety,
            smaller.nodes,
            smaller.load.clients,
            smaller.requests.clients
        ));
    });
    progress.finish_and_clear();
    let Some(shrunk) = shrunk else {
        println!("it does not fail in this way when it ends at its first violation; not shrunk");
        return Ok(());
    };
    let file = PathBuf::from(format!("sim-failure-{}.ron", plan.seed));
    shrunk.plan.write(&file)?;
    println!(
        "shrunk from {} faults to {} in {} runs\n",
        plan.schedule.len(),
        shrunk.plan.schedule.len(),
        shrunk.runs
    );
    println!("{}", report::failure(&shrunk.plan, &report::replay_of(&file, mutant)));
    Ok(())
}

fn is_repeated(plan: &Plan) -> bool {
    match determinism::twice(plan) {
        Ok(trace) => {
            println!("deterministic: both runs had the same {} events", trace.events);
            true
        }
        Err(difference) => {
            println!("not deterministic: the runs part after {} events:", difference.same);
            for event in [difference.first, difference.second] {
                println!("  {}", event.map_or_else(|| "(ended)".to_owned(), |event| event.to_string()));
            }
            false
        }
    }
}
