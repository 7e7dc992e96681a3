//! The same plan must give the same events: twice in a row, and in a process of its own as among others in a sweep.

use std::{
    env,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

use crate::{
    plan::Plan,
    run::{Options, run_as},
    trace::{Event, TraceSummary},
};

/// Where two runs of one plan part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How many events they have in common.
    pub same: usize,
    /// The next of the one, unless it had ended.
    pub first: Option<Event>,
    /// The next of the other, unless it had ended.
    pub second: Option<Event>,
}

/// Runs a plan twice and looks for the first event that differs.
pub fn twice(plan: &Plan) -> Result<TraceSummary, Box<Difference>> {
    let options = Options { keeps_events: true, ..Options::default() };
    let (first, second) = (run_as(plan, &options), run_as(plan, &options));
    if first.trace == second.trace {
        return Ok(first.trace);
    }
    let same = first.events.iter().zip(&second.events).take_while(|(a, b)| a == b).count();
    let nth = |events: &[Event]| events.get(same).cloned();
    Err(Box::new(Difference { same, first: nth(&first.events), second: nth(&second.events) }))
}

/// The hash of a seed's events when it runs in a process of its own: this program, called with `--print-hash`.
///
/// # Errors
/// The program cannot be run, or prints no hash.
pub fn alone(seed: u64) -> anyhow::Result<u64> {
    let program = env::current_exe().context("find this program")?;
    hash_by(&program, seed)
}

/// As [`alone`], by another build of this program.
///
/// # Errors
/// As there.
pub fn hash_by(program: &Path, seed: u64) -> anyhow::Result<u64> {
    let output = Command::new(program)
        .args(["--print-hash", "--seed", &seed.to_string()])
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {}", program.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    match u64::from_str_radix(printed.trim(), 16) {
        Ok(hash) => Ok(hash),
        Err(_) => bail!("{} --seed {seed} printed {printed:?} in place of a hash", program.display()),
    }
}
