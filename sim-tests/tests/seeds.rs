//! Seeds that once failed, and a run in which nothing goes wrong.

use capstan_sim_tests::{plan::Plan, run::run};

/// 2, 6 and 23: a power cut in the middle of removing an old snapshot left a folder that kept the node from starting.
/// 8: a heartbeat that came while the loss of its sender was being committed renewed the lease, and the lost life started a job.
/// 110: a node was admitted while its guardian still killed what the life before it had left.
#[test]
fn seeds_that_once_failed_pass() {
    for seed in [2, 6, 8, 23, 110] {
        let report = run(&Plan::from_seed(seed));
        assert!(report.violations.is_empty(), "{report}");
    }
}

#[test]
fn without_faults_every_outcome_is_known_and_one_node_leads() {
    let report = run(&Plan { schedule: Vec::new(), ..Plan::from_seed(7) });
    assert!(report.violations.is_empty(), "{report}");
    assert_eq!((report.unknown, report.tally.leaders), (0, 1), "{report}");
}
