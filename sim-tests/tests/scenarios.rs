//! Stories told on purpose, on top of the invariants that every run is judged by.

use std::{cell::Cell, rc::Rc, time::Duration};

use capstan_model::ids::VariableName;
use capstan_raft_store::timing::Timing;
use capstan_sim_tests::{
    disk::Loss,
    history::{Call, Outcome},
    net::{CLIENTS, Place, Rule},
    run::{Plan, Report, run_with},
    workload::{Load, Workload},
    world::{World, nodes},
};

/// Nothing happens by itself.
fn quiet(seed: u64) -> Plan {
    let load = Load { clients: 0, keys: 1, think_max: Duration::from_secs(1) };
    Plan { schedule: Vec::new(), load, timing: Timing::default(), ..Plan::from_seed(seed) }
}

fn put(value: impl Into<bytes::Bytes>) -> Call {
    Call::Put { value: value.into(), if_revision: None }
}

async fn leader(world: &World) -> Place {
    loop {
        if let Some(leader) = world.machines.leader() {
            return leader;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn assert_well(report: &Report) {
    assert!(report.violations.is_empty(), "{report}");
}

#[test]
fn a_leader_cut_off_with_writes_under_way_loses_none_that_was_acknowledged() {
    let told = Rc::new(Cell::new(None));
    let telling = Rc::clone(&told);
    let report = run_with(&quiet(1), |world: World, workload: Workload| async move {
        let old = leader(&world).await;
        let mut client = workload.client(1, 1).always_with_key();
        assert!(matches!(client.call(old, "key-0", put("before")).await, Outcome::Put { .. }));
        let others: Vec<Place> = nodes().filter(|node| *node != old).collect();
        let cuts = others.iter().flat_map(|other| [Rule::Cut(old, *other), Rule::Cut(*other, old)]).collect();
        world.machines.net.begin(1, cuts);
        let stranded = tokio::task::spawn_local({
            let mut client = workload.client(2, 2);
            async move { client.call(old, "key-0", put("stranded")).await }
        });
        until(|| world.machines.leader().is_some_and(|leader| leader != old)).await;
        let during = client.call(others[0], "key-0", put("during")).await;
        world.machines.net.end(1);
        telling.set(Some((during, stranded.await.expect("it does not panic"))));
    });
    assert_well(&report);
    let (during, stranded) = told.take().expect("the story was told to its end");
    assert!(matches!(during, Outcome::Put { .. }), "the majority goes on: {during:?}");
    // A key makes it come through after all; without one nobody knows.
    assert!(matches!(stranded, Outcome::Put { .. } | Outcome::Unknown | Outcome::NotDone), "{stranded:?}");
    assert!(report.tally.leaders >= 2, "{report}");
}

#[test]
fn a_follower_that_was_away_for_long_returns_by_a_snapshot() {
    let mut plan = quiet(2);
    plan.timing.snapshot_bytes = 4 * 1024;
    let report = run_with(&plan, |world: World, workload: Workload| async move {
        let leads = leader(&world).await;
        let away = nodes().find(|node| *node != leads).expect("there are three");
        let mut client = workload.client(1, 1);
        assert!(matches!(client.call(leads, "key-0", put("first")).await, Outcome::Put { .. }));
        world.machines.strike(away, Loss::Power);
        for number in 0..900 {
            client.call(leads, "key-0", put(format!("v{number}"))).await;
        }
        let reached = world.machines.handle(leads).expect("it is up").view().index();
        world.boot(away);
        until(|| world.machines.handle(away).is_some_and(|handle| handle.view().index() >= reached)).await;
    });
    assert_well(&report);
    assert!(report.tally.snapshot_steps > 0, "{report}");
}

#[test]
fn a_write_sent_again_to_another_node_happens_once() {
    let told = Rc::new(Cell::new(None));
    let telling = Rc::clone(&told);
    let report = run_with(&quiet(3), |world: World, workload: Workload| async move {
        let leads = leader(&world).await;
        let mut client = workload.client(1, 1).always_with_key();
        assert!(matches!(client.call(leads, "key-0", put("first")).await, Outcome::Put { .. }));
        // The node does as it is asked, and its answer is lost.
        world.machines.net.begin(1, vec![Rule::Cut(leads, CLIENTS)]);
        let sent = tokio::task::spawn_local(async move { client.call(leads, "key-0", put("second")).await });
        let name: VariableName = "key-0".parse().expect("a legal name");
        let handle = world.machines.handle(leads).expect("it is up");
        until(|| handle.view().state().variables.get(&name).is_some_and(|it| it.value == "second")).await;
        world.machines.net.end(1);
        let outcome = sent.await.expect("it does not panic");
        telling.set(Some((outcome, handle.view().state().variables.revision())));
    });
    assert_well(&report);
    let (outcome, revisions) = told.take().expect("the story was told to its end");
    assert_eq!(outcome, Outcome::Put { revision: 2, created: false });
    assert_eq!(revisions, 2, "it happened once");
}
