//! The power is cut while RocksDB writes to a real file system; what was acknowledged must be there.
//!
//! A writer runs on ext4, on a loop device whose file this test serves, so that it has each write and each flush on record, in
//! order (`device.rs`). A power cut is a prefix of that record, and the disk after it is made of the prefix: of all of it, or, as
//! if the disk had a volatile cache, of all up to the last flush and some of the blocks written since, in no order. Either is what a
//! disk may hold that loses its power at that moment, because the kernel goes on behind a flush only once it was answered. No process
//! has to stand still for it, and one run of a writer can be cut at any number of moments, in the middle of a sync as well as behind it.
//!
//! What a cut leaves is mounted, which replays the journal of the file system, opened by the real storage code, and compared with
//! what the writer was told by then (`writer.rs`). It says each line while it stands still, so it is known between which two requests to its disk.
//!
//! This takes root, FUSE, a loop device and `mkfs.ext4`. Where one is missing, the tests say NOT RUN and pass, unless
//! `CAPSTAN_POWER_CUTS`, the number of cuts, was set.

mod blocks;
mod device;
mod machine;

use std::{io, path::Path, sync::Arc};

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use self::{
    blocks::{Blocks, Cache, Recorder},
    machine::{Inside, Machine},
};
use super::{
    harness::{open_on, rocks},
    writer::{Crash, Directory, Told, write_until_killed},
};
use crate::engine::testing::TestDisk;

const CUTS: &str = "CAPSTAN_POWER_CUTS";
/// How many cuts a test makes when it is not told.
const CUTS_DEFAULT: usize = 20;
/// How many cuts are made of one run of a writer.
const CUTS_OF_A_RUN: usize = 10;
/// How many runs follow each other on one disk, each from a cut of the one before.
const RUNS_OF_A_DISK: usize = 4;
/// How many lines a writer says before it is stopped.
const LINES: usize = 160;

/// What runs in the processes that have disks of their own.
#[tokio::test]
async fn machine() {
    let Some((mut inside, task)) = Inside::start() else { return };
    let mut words = task.split(' ');
    match words.next().unwrap() {
        "format" => {
            let done = inside.format().and_then(|()| inside.mount().map(drop));
            inside.say(&done.map_or_else(|error| error.to_string(), |()| "formatted".to_owned()));
        }
        "read" => {
            inside.mount().unwrap();
            let line = match open_on(rocks(Path::new("."))).await {
                Ok(mut opened) => format!("opened {}", Directory::of(&mut opened).await.line()),
                Err(error) => format!("refused: {error:?}"),
            };
            inside.say(&line);
        }
        "write" => {
            let random = SmallRng::seed_from_u64(words.next().unwrap().parse().unwrap());
            inside.mount().unwrap();
            let (disk, controls) = TestDisk::new(rocks(Path::new(".")));
            let left_out = words.collect::<Vec<_>>().join(" ");
            if !left_out.is_empty() {
                controls.leave_out(left_out.leak());
            }
            let mut opened = open_on(disk).await.unwrap();
            inside.say(&format!("opened {}", Directory::of(&mut opened).await.line()));
            write_until_killed(opened, random, &mut |line| inside.say(&line)).await;
        }
        other => panic!("no machine does {other:?}"),
    }
}

/// A formatted disk, or why there is none.
fn formatted() -> io::Result<Blocks> {
    let mut machine = Machine::start(Blocks::default(), "format")?;
    let line = machine.listen().unwrap_or_else(|| "the machine is gone".into());
    let disk = machine.disk();
    machine.answer();
    machine.stop();
    if line == "formatted" { Ok(disk.blocks()) } else { Err(io::Error::other(line)) }
}

/// What a writer said, each line with the number of requests that its disk had answered then, and its disk.
struct Run {
    lines: Vec<(usize, String)>,
    disk: Arc<Recorder>,
}

impl Run {
    /// Lets a writer write to a disk that is in the state of `told`.
    fn new(disk: Blocks, found: Option<&Directory>, task: &str) -> Self {
        let mut machine = Machine::start(disk, task).unwrap();
        let disk = machine.disk();
        let mut lines = Vec::new();
        while lines.len() < LINES {
            let line =
                machine.listen().unwrap_or_else(|| panic!("{task}: the writer failed after {lines:?}"));
            if let Some(opened) = line.strip_prefix("opened ") {
                assert!(
                    found.is_none_or(|found| found.line() == opened),
                    "opening {found:?} again, {opened} was found"
                );
            } else {
                lines.push((disk.answered(), line));
            }
            if lines.len() < LINES {
                machine.answer();
            }
        }
        machine.stop();
        Self { lines, disk }
    }

    /// Any moment, or just behind a line: that is when an acknowledgement that came too early shows.
    fn moment(&self, random: &mut SmallRng) -> usize {
        let (end, _) = self.lines.last().expect("it has said something");
        if random.random_bool(0.5) {
            random.random_range(0..=*end)
        } else {
            self.lines[random.random_range(0..self.lines.len())].0
        }
    }

    /// What was told until that moment.
    fn told_until(&self, moment: usize, before: &Told) -> Told {
        let mut told = before.clone();
        self.lines.iter().take_while(|(at, _)| *at <= moment).for_each(|(_, line)| told.line(line));
        told
    }
}

/// Opens what a power cut has left.
fn read(disk: Blocks) -> Result<Directory, String> {
    let mut machine = Machine::start(disk, "read").unwrap();
    let line = machine.listen().ok_or("the file system could not be mounted, or the process died")?;
    machine.stop();
    line.strip_prefix("opened ").map(Directory::parse).ok_or(line)
}

/// What was seen.
#[derive(Debug, Default)]
struct Tally {
    cuts: usize,
    runs: usize,
    /// Writes and flushes of all runs.
    requests: usize,
    /// Cuts after which the state was behind what had been applied, since its engine is seldom synced.
    forgetful: usize,
    failures: Vec<String>,
}

/// Runs writers and cuts their power until there were enough cuts, or something was wrong.
fn cut_power(cuts: usize, formatted: &Blocks, left_out: &str) -> Tally {
    let mut tally = Tally::default();
    let mut random = SmallRng::seed_from_u64(1);
    let (mut disk, mut told, mut found) = (formatted.clone(), Told::default(), None);
    loop {
        if tally.runs.is_multiple_of(RUNS_OF_A_DISK) {
            (disk, told, found) = (formatted.clone(), Told::default(), None);
        }
        let run = Run::new(disk.clone(), found.as_ref(), &format!("write {} {left_out}", tally.runs));
        tally.runs += 1;
        tally.requests += run.disk.answered();
        let mut next = None;
        for number in 0..CUTS_OF_A_RUN {
            let moment = run.moment(&mut random);
            let mut cache = if number % 2 == 0 {
                Cache::None
            } else {
                Cache::Volatile(SmallRng::seed_from_u64(random.random()))
            };
            let left = run.disk.after_power_cut(moment, &mut cache);
            let told = run.told_until(moment, &told);
            tally.cuts += 1;
            let judged = read(left.clone()).and_then(|directory| {
                told.judge(&directory, Crash::PowerCut)?;
                Ok(directory)
            });
            match judged {
                Ok(directory) => {
                    tally.forgetful += usize::from(told.has_forgotten(&directory));
                    next = Some((left, told, directory));
                }
                Err(wrong) => {
                    let place = format!("run {}, cut after {moment} requests, {cache:?}", tally.runs);
                    tally.failures.push(format!("{place}: {wrong}"));
                }
            }
            if tally.cuts == cuts || !tally.failures.is_empty() {
                return tally;
            }
        }
        let (left, mut until, directory) = next.expect("nothing was wrong");
        until.restart_from(&directory.found);
        (disk, told, found) = (left, until, Some(directory));
    }
}

/// How many cuts to make on which disk; `None`, after saying why, where there cannot be any.
fn prepare() -> Option<(usize, Blocks)> {
    let asked = std::env::var(CUTS).ok().map(|cuts| cuts.parse().expect("a number of power cuts"));
    match formatted() {
        Ok(formatted) => Some((asked.unwrap_or(CUTS_DEFAULT), formatted)),
        Err(error) if asked.is_none() => {
            println!("NOT RUN: cutting the power takes root, FUSE, a loop device and mkfs.ext4: {error}");
            None
        }
        Err(error) => panic!("{CUTS} is set, but power cannot be cut here: {error}"),
    }
}

#[test]
fn a_power_cut_takes_nothing_that_was_acknowledged() {
    let Some((cuts, formatted)) = prepare() else { return };
    let Tally { cuts: done, runs, requests, forgetful, failures } = cut_power(cuts, &formatted, "");
    println!(
        "{done} power cuts of {runs} runs with {requests} writes and flushes; {forgetful} took unsynced state; {} wrong",
        failures.len()
    );
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(done, cuts);
    assert!(forgetful > 0 || cuts < CUTS_DEFAULT, "none of {cuts} power cuts has taken anything");
}

/// Folders are not among them: ext4 commits all names with the next sync of anything. Those are left out in `exhaustive`.
#[test]
fn a_sync_that_is_left_out_shows_in_a_power_cut() {
    let Some((_, formatted)) = prepare() else { return };
    for left_out in ["sync log", "sync_file"] {
        let tally = cut_power(CUTS_DEFAULT, &formatted, left_out);
        println!("without {left_out:?}: wrong after {} power cuts", tally.cuts);
        assert_eq!(tally.failures.len(), 1, "nothing shows that {left_out:?} was left out");
    }
}
