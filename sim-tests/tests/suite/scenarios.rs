//! Stories told on purpose, on top of the invariants that every run is judged by.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use capstan_model::ids::VariableName;
use capstan_raft_store::timing::Timing;
use capstan_sim_tests::{
    auth_load::AuthLoad,
    disk::Loss,
    events::TailLoad,
    faults::{Blow, Failpoint, Fault, GuidedFault, Planned, Target},
    history::{Call, Outcome},
    lrps::LrpLoad,
    net::{CLIENTS, Latency, Place, Rule},
    plan::{Heal, Plan},
    probes::Buggify,
    requests::{RequestLoad, Requests, beyond::BeyondLoad},
    retention::RetentionLoad,
    run::{Report, run, run_with},
    specs_load::SpecLoad,
    workload::{Load, Workload},
    world::World,
};

/// Nothing happens by itself.
pub(crate) fn quiet(seed: u64) -> Plan {
    let load = Load { clients: 0, keys: 1, think_max: Duration::from_secs(1) };
    let plan = Plan::from_seed(seed);
    let requests = RequestLoad { clients: 0, slots: 4, ..plan.requests };
    Plan {
        nodes: 3,
        safety: Duration::from_secs(20),
        heal: Heal::All,
        latency: Latency::Lan,
        load,
        requests,
        tailing: TailLoad::default(),
        lrps: LrpLoad::default(),
        specs: SpecLoad::default(),
        auth: AuthLoad::default(),
        retention: RetentionLoad::default(),
        beyond: BeyondLoad::default(),
        timing: Timing::default(),
        buggify: Buggify::Off,
        schedule: Vec::new(),
        ..plan
    }
}

pub(crate) fn put(value: impl Into<bytes::Bytes>) -> Call {
    Call::Put { value: value.into(), if_revision: None }
}

pub(crate) async fn leader(world: &World) -> Place {
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

pub(crate) fn assert_well(report: &Report) {
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
        let others: Vec<Place> = world.machines.net.nodes().filter(|node| *node != old).collect();
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
        let away = world.machines.net.nodes().find(|node| *node != leads).expect("there are three");
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

/// Asks for requests of one long process until one runs on each node, and waits until they do.
async fn one_process_on_each_node(world: &World, plan: &Plan, runs: Duration) {
    leader(world).await;
    let (net, oracle) = (Arc::clone(&world.machines.net), Arc::clone(&world.machines.oracle));
    let mut client = Requests::new(net, oracle).client(1, 1, &plan.requests);
    // A node is chosen by its free slots, once it has joined.
    let joined = || world.machines.oracle.committed_state().nodes.len() == world.machines.net.nodes().count();
    until(joined).await;
    for _ in world.machines.net.nodes() {
        assert!(client.ask("once", "work", runs, 0).await.is_some());
    }
    let has_one = |node| world.machines.processes.running().iter().any(|process| process.node == node);
    until(|| world.machines.net.nodes().all(has_one)).await;
}

#[test]
fn a_leader_that_dies_takes_its_own_processes_along_and_no_others() {
    let left = Rc::new(Cell::new(0));
    let telling = Rc::clone(&left);
    let plan = quiet(4);
    let report = run_with(&plan.clone(), |world: World, _: Workload| async move {
        one_process_on_each_node(&world, &plan, Duration::from_secs(12)).await;
        let old = leader(&world).await;
        world.machines.strike(old, Loss::Process);
        until(|| world.machines.leader().is_some_and(|leader| leader != old)).await;
        // Longer than a lease, which the new leader has to renew.
        tokio::time::sleep(Duration::from_secs(6)).await;
        telling.set(world.machines.processes.running().len());
    });
    assert_well(&report);
    assert_eq!((left.get(), report.tally.processes), (2, 3), "{report}");
}

#[test]
fn a_node_that_nobody_hears_runs_nothing_past_its_lease() {
    let left = Rc::new(Cell::new(None));
    let telling = Rc::clone(&left);
    let plan = quiet(5);
    let Timing { lease, kill, ack_age_max, .. } = plan.timing;
    let report = run_with(&plan.clone(), |world: World, _: Workload| async move {
        one_process_on_each_node(&world, &plan, Duration::from_secs(20)).await;
        let away = leader(&world).await;
        let others: Vec<Place> = world.machines.net.nodes().filter(|node| *node != away).collect();
        let cuts =
            others.iter().flat_map(|other| [Rule::Cut(away, *other), Rule::Cut(*other, away)]).collect();
        world.machines.net.begin(1, cuts);
        tokio::time::sleep(ack_age_max + lease + kill).await;
        let running = world.machines.processes.running();
        let of_others = running.iter().filter(|process| process.node != away).count();
        telling.set(Some((running.len(), of_others)));
        world.machines.net.end(1);
    });
    assert_well(&report);
    assert_eq!(left.take(), Some((2, 2)), "{report}");
}

#[test]
fn a_node_whose_actor_panics_stops_as_a_whole_and_comes_back() {
    let place = Failpoint::try_from("actor: the owner looks".to_owned()).expect("there is such a place");
    let whom = Some(Target::Node(2));
    let fault = Fault::Guided(GuidedFault::StrikeAt { place, whom, spares: 3, blow: Blow::Panic });
    let planned = Planned { at: Duration::from_secs(4), lasts: Duration::from_secs(5), fault };
    let report = run(&Plan { schedule: vec![planned], ..quiet(6) });
    assert_well(&report);
    // The others end with the run.
    assert_eq!(report.tally.crashes, 3 + 1, "{report}");
}
