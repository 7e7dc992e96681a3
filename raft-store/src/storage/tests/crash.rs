//! A writer process is killed at random moments; what it was told is durable must be there.
//!
//! The test starts this test binary again as the writer (`CAPSTAN_CRASH_DIRECTORY` names the directory) and reads what it
//! says from its output, a line each. The page cache survives, so this shows the order of writes and recovery; `power` cuts the power.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{
    harness::{Directory, open_on, rocks},
    writer::{self, Crash, Told, write_until_killed},
};

const DIRECTORY: &str = "CAPSTAN_CRASH_DIRECTORY";
const SEED: &str = "CAPSTAN_CRASH_SEED";
const ROUNDS: u64 = 40;
/// The most lines a writer says before it is killed.
const LINES_MAX: u64 = 150;

/// What runs in the process that is killed.
#[tokio::test]
async fn writer() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let random = SmallRng::seed_from_u64(std::env::var(SEED).unwrap().parse().unwrap());
    let mut out = std::io::stdout();
    // Behind whatever the test harness has written on the line.
    out.write_all(b"\n").unwrap();
    let mut say = |line: String| {
        out.write_all(format!("> {line}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    };
    write_until_killed(open_on(rocks(Path::new(&directory))).await.unwrap(), random, &mut say).await;
}

/// Runs a writer until it has said `lines` lines, kills it and gives what it was told.
fn run_and_kill(directory: &Directory, seed: u64, lines: u64, told: &mut Told) {
    // Found also after a build has replaced the file.
    let mut writer = Command::new("/proc/self/exe")
        .args(["--exact", "storage::tests::crash::writer", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .env(SEED, seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(writer.stdout.take().unwrap()).lines();
    let said =
        output.by_ref().map_while(Result::ok).filter(|line| line.starts_with("> ")).take(lines as usize);
    let mut count = 0;
    for line in said {
        told.line(&line[2..]);
        count += 1;
    }
    writer.kill().unwrap();
    // What it said before it died counts as well.
    for line in output.map_while(Result::ok).filter(|line| line.starts_with("> ")) {
        told.line(&line[2..]);
    }
    writer.wait().unwrap();
    assert_eq!(count, lines, "seed {seed}: the writer failed");
}

#[tokio::test]
async fn a_killed_writer_loses_nothing_that_was_acknowledged() {
    let directory = Directory::new();
    let mut told = Told::default();
    for seed in 0..ROUNDS {
        let lines = 1 + SmallRng::seed_from_u64(seed).next_u64() % LINES_MAX;
        run_and_kill(&directory, seed, lines, &mut told);
        let mut opened = directory.open().await;
        let found = writer::Directory::of(&mut opened).await;
        if let Err(wrong) = told.judge(&found, Crash::Kill) {
            panic!("seed {seed}: {wrong}");
        }
        // The next writer goes on from what is there.
        told.restart_from(&found.found);
    }
}
