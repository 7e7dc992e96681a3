//! The process of an `lrp/…` job: reads its order from standard input, follows it, and tells how it went.

use std::{
    env,
    fs::OpenOptions,
    io::{self, Read, Write},
    process::ExitCode,
};

use super::{
    steps::{self, Report},
    surface::Told,
};
use crate::jobs::ending;

/// Runs `capstan __lrp-job`. Exits with 0 when the order is followed, else with 1 and the reason in the file named by
/// `CAPSTAN_RESULT`.
pub fn main() -> ExitCode {
    ending::conclude(run())
}

fn run() -> Result<(), String> {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input).map_err(|error| format!("cannot read the order: {error}"))?;
    let told: Told =
        serde_json::from_slice(&input).map_err(|error| format!("cannot read the order: {error}"))?;
    let client = told.surface.client().map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start a runtime: {error}"))?;
    runtime.block_on(steps::follow(&client, &told.order, &mut ToFiles))
}

/// Tells on standard output what was done, and in the file named by `CAPSTAN_STATUS` how far it is.
struct ToFiles;

impl Report for ToFiles {
    fn done(&mut self, what: &str) {
        // Without a reader nobody misses it.
        let _ = writeln!(io::stdout(), "{what}");
    }

    fn status(&mut self, how_far: &str) {
        let Some(path) = env::var_os("CAPSTAN_STATUS") else { return };
        let file = OpenOptions::new().append(true).create(true).open(path);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{how_far}")) {
            eprintln!("cannot write the status: {error}");
        }
    }
}
