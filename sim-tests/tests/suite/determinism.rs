//! One seed, one run: without this nothing that fails could be looked at again.

use capstan_sim_tests::{plan::Plan, run::run};

#[test]
fn the_same_seed_gives_the_same_events() {
    for seed in [1, 5, 9] {
        let plan = Plan::from_seed(seed);
        let (first, second) = (run(&plan), run(&plan));
        assert!(first.trace.events > 500, "seed {seed} had {} events", first.trace.events);
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

#[test]
fn different_seeds_give_different_events() {
    let hash = |seed| run(&Plan::from_seed(seed)).trace.hash;
    assert_ne!(hash(1), hash(2));
}
