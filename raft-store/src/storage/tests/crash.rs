//! A writer process is killed at random moments; what it was told is durable must be there.
//!
//! The test starts this test binary again as the writer (`CAPSTAN_CRASH_DIRECTORY` names the directory) and reads what it
//! acknowledges from its output, a line each. The page cache survives, so this shows the order of writes and recovery, not the
//! fsyncs; those are the simulator's.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use openraft::{
    RaftLogReader,
    storage::{RaftLogStorage, RaftLogStorageExt},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::harness::{Directory, founding, log_id, open_on, put, rocks, vote};
use crate::type_config::RaftEntry;

const DIRECTORY: &str = "CAPSTAN_CRASH_DIRECTORY";
const SEED: &str = "CAPSTAN_CRASH_SEED";
const ROUNDS: u64 = 40;
/// The most lines a writer says before it is killed.
const LINES_MAX: u64 = 150;

fn entry(term: u64, index: u64) -> RaftEntry {
    if index == 1 { founding(term, index) } else { put(term, index) }
}

/// What one writer was told, as the test understands its lines.
#[derive(Default)]
struct Told {
    /// Acknowledged entries: index and term.
    entries: BTreeMap<u64, u64>,
    term: u64,
    applied: u64,
    purged: u64,
    snapshot: u64,
}

impl Told {
    fn line(&mut self, line: &str) {
        let mut words = line.split(' ');
        let what = words.next().unwrap();
        let numbers: Vec<u64> = words.map(|word| word.parse().unwrap()).collect();
        match what {
            "appended" => {
                self.entries.insert(numbers[1], numbers[0]);
            }
            // From here on what is behind may or may not be there.
            "truncating" => drop(self.entries.split_off(&(numbers[0] + 1))),
            "voted" => self.term = numbers[0],
            "applied" => self.applied = numbers[0],
            "snapshot" => self.snapshot = numbers[0],
            "purging" => self.purged = numbers[0],
            other => panic!("the writer says {other}"),
        }
    }
}

/// Appends, votes, truncates, applies, takes snapshots and purges until it is killed.
#[tokio::test]
async fn writer() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let mut random = SmallRng::seed_from_u64(std::env::var(SEED).unwrap().parse().unwrap());
    let mut say = {
        let mut out = std::io::stdout();
        // Behind whatever the test harness has written on the line.
        out.write_all(b"\n").unwrap();
        move |line: String| {
            out.write_all(format!("> {line}\n").as_bytes()).unwrap();
            out.flush().unwrap();
        }
    };
    let mut opened = open_on(rocks(Path::new(&directory))).await.unwrap();
    let mut term = opened.log.read_vote().await.unwrap().map_or(1, |vote| vote.leader_id().term);
    loop {
        let last = opened.log.last().map_or(0, |last| last.index());
        let applied = opened.machine.applied().map_or(0, |applied| applied.index());
        match random.next_u64() % 16 {
            0 => {
                term += 1;
                opened.log.save_vote(&vote(term)).await.unwrap();
                say(format!("voted {term}"));
            }
            1 if last > applied => {
                let to = applied + random.next_u64() % (last - applied);
                say(format!("truncating {to}"));
                let ids = opened.log.try_get_log_entries(to..=to).await.unwrap();
                let to = ids.first().map(|entry| entry.log_id).or(opened.log.purged());
                opened.log.truncate_after(to).await.unwrap();
            }
            2..6 if last > applied => {
                let end = applied + 1 + random.next_u64() % (last - applied);
                let entries = opened.log.try_get_log_entries(applied + 1..=end).await.unwrap();
                opened.apply(entries).await;
                say(format!("applied {end}"));
            }
            6 if applied > 0 => {
                opened.snapshot().await;
                say(format!("snapshot {applied}"));
                if let Some(id) = opened.machine.applied().filter(|_| random.next_u64().is_multiple_of(2)) {
                    say(format!("purging {}", id.index()));
                    opened.log.purge(id).await.unwrap();
                }
            }
            _ => {
                let count = 1 + random.next_u64() % 4;
                let entries: Vec<_> = (last + 1..=last + count).map(|index| entry(term, index)).collect();
                opened.log.blocking_append(entries).await.unwrap();
                (last + 1..=last + count).for_each(|index| say(format!("appended {term} {index}")));
            }
        }
    }
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
    // What it said before it died counts as well; a line cut short does not.
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
        let term = opened.log.read_vote().await.unwrap().map_or(0, |vote| vote.leader_id().term);
        assert!(term >= told.term, "seed {seed}: vote {} became {term}", told.term);
        let applied = opened.machine.applied().map_or(0, |applied| applied.index());
        assert!(applied >= told.applied, "seed {seed}: applied {} became {applied}", told.applied);
        let purged = opened.log.purged().map_or(0, |purged| purged.index());
        assert!(purged <= told.purged.max(told.snapshot), "seed {seed}: purged up to {purged}");
        let ids = opened.log_ids().await;
        for (index, term) in told.entries.iter().filter(|(index, _)| **index > purged) {
            assert!(
                ids.contains(&log_id(*term, *index)),
                "seed {seed}: entry {index} of term {term} is lost"
            );
        }
        assert!(ids.windows(2).all(|pair| pair[0].index() + 1 == pair[1].index()), "seed {seed}: a hole");
        // The next writer goes on from what is there.
        told.entries = ids.iter().map(|id| (id.index(), **id.committed_leader_id())).collect();
        (told.term, told.applied, told.purged) = (term, applied, purged);
    }
}
