//! Replays the corpus, so that it is tried also where there is no fuzzer.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use capstan_fuzz::{TARGETS, Verdict};

/// What the names of inputs made by `write-seeds` begin with.
const SEED: &str = "seed-";

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn no_input_of_the_corpus_breaks_its_target() {
    for target in TARGETS {
        let folder = corpus().join(target.name);
        for name in names(&folder) {
            println!("{}/{name}", target.name);
            (target.run)(&fs::read(folder.join(name)).unwrap());
        }
    }
}

#[test]
fn every_seed_is_understood() {
    for target in TARGETS {
        for seed in (target.seeds)() {
            let verdict = (target.run)(&seed.bytes);
            assert_eq!(verdict, Verdict::Understood, "{}: seed {}", target.name, seed.name);
        }
    }
}

#[test]
fn the_corpus_holds_every_seed_as_it_is_now() {
    for target in TARGETS {
        let folder = corpus().join(target.name);
        let seeds = (target.seeds)();
        for seed in &seeds {
            let kept = fs::read(folder.join(format!("{SEED}{}", seed.name))).ok();
            assert_eq!(kept.as_ref(), Some(&seed.bytes), "{}: run `cargo run -p capstan-fuzz`", seed.name);
        }
        let kept = names(&folder).iter().filter(|name| name.starts_with(SEED)).count();
        assert_eq!(kept, seeds.len(), "{}: a seed is there that no code makes", target.name);
    }
}

#[test]
fn every_corpus_has_its_target() {
    let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "no name twice");
    assert_eq!(names(&corpus()), targets);
}
