//! The simulator catches planted bugs, and each has its place; `sim mutants` hunts all of them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use capstan_sim_tests::{
    mutants,
    sweep::{Sweep, sweep},
};

/// The crates that bugs are planted in, beside the simulator itself.
const CRATES: [&str; 4] = ["model", "raft-store", "api", "node"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Where each bug's name is asked for, by name.
fn places() -> BTreeMap<String, Vec<PathBuf>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&here.join("src"), &mut files);
    CRATES.iter().for_each(|name| sources(&here.join("..").join(name).join("src"), &mut files));
    let mut places = BTreeMap::<_, Vec<_>>::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("sources are text");
        let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for rest in code.join("\n").split("mutant!(\"").skip(1) {
            let name = rest.split('"').next().expect("a string has an end");
            places.entry(name.to_owned()).or_default().push(file.clone());
        }
    }
    places
}

#[test]
fn every_bug_has_one_place_and_every_place_a_bug() {
    let places = places();
    for mutant in mutants::all() {
        let found = places.get(mutant.name).map_or(&[][..], Vec::as_slice);
        assert_eq!(found.len(), 1, "{} is planted at {found:?}", mutant.name);
    }
    let unknown: Vec<_> = places.keys().filter(|name| mutants::find(name).is_err()).collect();
    assert_eq!(unknown, Vec::<&String>::new(), "these are planted and not in the table");
}

fn caught(name: &str, count: u64) -> usize {
    let mutant = mutants::find(name).expect("it is in the table");
    sweep(&Sweep { from: 1, count, jobs: 2, budget: None, mutant: Some(mutant) }, |_| {}).failed.len()
}

#[test]
fn a_disk_that_makes_nothing_durable_is_caught() {
    assert!(caught("sync-never-durable", 10) >= 3);
}

#[test]
fn reads_that_ask_no_quorum_are_caught() {
    assert!(caught("read-index-skipped", 10) >= 3);
}

#[test]
fn jobs_that_start_before_all_their_parents_are_complete_are_caught() {
    assert!(caught("any-parent-suffices", 10) >= 3);
}

#[test]
fn jobs_that_are_tried_too_often_are_caught() {
    assert!(caught("retry-off-by-one", 10) >= 3);
}

#[test]
fn retries_that_start_before_they_are_committed_are_caught() {
    assert!(caught("retry-started-before-commit", 10) >= 3);
}

#[test]
fn sequences_that_are_tried_too_often_are_caught() {
    assert!(caught("sequence-retry-off-by-one", 10) >= 3);
}

#[test]
fn drained_nodes_that_start_jobs_are_caught() {
    assert!(caught("drained-node-starts", 20) >= 1);
}

#[test]
fn takeovers_under_the_old_epoch_are_caught() {
    assert!(caught("epoch-kept", 10) >= 3);
}
