//! Plans that once failed, and runs in which nothing goes wrong.

use capstan_sim_tests::{
    corpus,
    plan::{Heal, Plan},
    probes::Buggify,
    run::run,
};

#[test]
fn plans_that_once_failed_pass() {
    let plans = corpus::read(&corpus::folder()).expect("the corpus is readable");
    assert!(!plans.is_empty(), "the corpus is not empty");
    for (path, plan) in plans {
        let report = run(&plan);
        assert!(report.violations.is_empty(), "{}: {report}", path.display());
    }
}

#[test]
fn without_faults_every_outcome_is_known_and_one_node_leads() {
    for seed in 1..=8 {
        let plan =
            Plan { schedule: Vec::new(), heal: Heal::All, buggify: Buggify::Off, ..Plan::from_seed(seed) };
        let report = run(&plan);
        assert!(report.violations.is_empty(), "{report}");
        assert_eq!((report.unknown, report.tally.leaders), (0, 1), "{report}");
    }
}
