//! The simulator catches planted bugs; `sim mutants` tries all of them in more seeds.

use capstan_sim_tests::{
    mutants::Mutant,
    sweep::{Sweep, sweep},
};

fn caught(mutant: Mutant, count: u64) -> usize {
    sweep(&Sweep { from: 1, count, jobs: 2, budget: None, mutant: Some(mutant) }, |_| {}).failed.len()
}

#[test]
fn a_disk_that_makes_nothing_durable_is_caught() {
    assert!(caught(Mutant::SyncNeverDurable, 10) >= 3);
}

#[test]
fn reads_that_ask_no_quorum_are_caught() {
    assert!(caught(Mutant::ReadIndexSkipped, 10) >= 3);
}

#[test]
fn jobs_that_start_before_all_their_parents_are_complete_are_caught() {
    assert!(caught(Mutant::AnyParentSuffices, 10) >= 3);
}

#[test]
fn jobs_that_are_tried_too_often_are_caught() {
    assert!(caught(Mutant::RetryOffByOne, 10) >= 3);
}

#[test]
fn retries_that_start_before_they_are_committed_are_caught() {
    assert!(caught(Mutant::RetryStartedBeforeCommit, 10) >= 3);
}

#[test]
fn sequences_that_are_tried_too_often_are_caught() {
    assert!(caught(Mutant::SequenceRetryOffByOne, 10) >= 3);
}

#[test]
fn drained_nodes_that_start_jobs_are_caught() {
    assert!(caught(Mutant::DrainedNodeStarts, 20) >= 1);
}

#[test]
fn takeovers_under_the_old_epoch_are_caught() {
    assert!(caught(Mutant::EpochKept, 10) >= 3);
}
