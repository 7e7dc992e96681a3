//! How fast and how small a cluster stays: with a node that is slow, and over a day.

use std::{cell::Cell, rc::Rc, sync::Arc, time::Duration};

use capstan_model::{command::Command, settings::Setting};
use capstan_raft_store::{handle::ProposeOptions, timing::Timing};
use capstan_sim_tests::{
    auth_load::AuthLoad,
    disk::{DiskManner, Usage},
    events::TailLoad,
    history::{Call, Outcome},
    lrps::LrpLoad,
    net::{Latency, Place},
    plan::{Heal, Plan},
    probes::Buggify,
    requests::{RequestLoad, Requests, beyond::BeyondLoad},
    retention::RetentionLoad,
    run::{Report, run_with},
    specs_load::SpecLoad,
    workload::{Client, Load, Workload},
    world::World,
};
use tokio::time::{Instant, sleep, sleep_until};

/// Nothing happens by itself.
fn quiet(seed: u64) -> Plan {
    let plan = Plan::from_seed(seed);
    Plan {
        nodes: 3,
        safety: Duration::from_secs(1),
        heal: Heal::All,
        latency: Latency::Lan,
        load: Load { clients: 0, keys: 1, think_max: Duration::from_secs(1) },
        requests: RequestLoad { clients: 0, slots: 4, ..plan.requests },
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

async fn leader(world: &World) -> Place {
    loop {
        if let Some(leader) = world.machines.leader() {
            return leader;
        }
        sleep(Duration::from_millis(10)).await;
    }
}

async fn put(client: &mut Client, through: Place, number: u64) -> Outcome {
    let value = format!("v{number}").into();
    client.call(through, "key-0", Call::Put { value, if_revision: None }).await
}

fn assert_well(report: &Report) {
    assert!(report.violations.is_empty(), "{report}");
}

/// How long the slowest but one in a hundred of the writes took, through nodes other than `slow`.
async fn slow_write(world: &World, client: &mut Client, slow: Place, from: u64) -> Duration {
    let others: Vec<Place> = world.machines.net.nodes().filter(|node| *node != slow).collect();
    let mut took = Vec::new();
    for number in 0..400 {
        let start = Instant::now();
        let through = others[number % others.len()];
        let outcome = put(client, through, from + number as u64).await;
        assert!(matches!(outcome, Outcome::Put { .. }), "{outcome:?}");
        took.push(start.elapsed());
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Writes while all is well, and then while the disk of one node takes half a second a sync.
fn with_a_slow_disk(seed: u64, is_slow: fn(leader: Place, node: Place) -> bool) -> (Duration, Duration) {
    let told = Rc::new(Cell::new(None));
    let telling = Rc::clone(&told);
    let report = run_with(&quiet(seed), |world: World, workload: Workload| async move {
        let leader = leader(&world).await;
        let slow = world.machines.net.nodes().find(|node| is_slow(leader, *node)).expect("there is one");
        // With keys some would be sent through two nodes at once, the slow one among them.
        let mut client = workload.client(1, 1).never_with_key();
        assert!(matches!(put(&mut client, leader, 0).await, Outcome::Put { .. }));
        let healthy = slow_write(&world, &mut client, slow, 1_000).await;
        let takes = Duration::from_millis(500);
        world.machines.disk(slow).set_manner(DiskManner { sync: (takes, takes) });
        let gray = slow_write(&world, &mut client, slow, 2_000).await;
        telling.set(Some((healthy, gray)));
    });
    assert_well(&report);
    told.take().expect("the story was told to its end")
}

#[test]
fn a_follower_with_a_slow_disk_slows_no_writes_through_others() {
    let (healthy, gray) = with_a_slow_disk(1, |leader, node| node != leader);
    assert!(gray <= 10 * healthy, "{healthy:?} and {gray:?}");
}

#[test]
fn a_leader_with_a_slow_disk_slows_no_writes_through_others() {
    let (healthy, gray) = with_a_slow_disk(2, |leader, node| node == leader);
    assert!(gray <= 10 * healthy, "{healthy:?} and {gray:?}");
}

/// What a node holds that must not grow with time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    disk: Usage,
    log: u64,
    sessions: usize,
    keys: usize,
    processes: usize,
    live_requests: usize,
}

impl Held {
    /// The larger of each.
    fn max(self, other: Self) -> Self {
        let (disk, of) = (self.disk, other.disk);
        Self {
            disk: Usage {
                rows: disk.rows.max(of.rows),
                files: disk.files.max(of.files),
                bytes: disk.bytes.max(of.bytes),
            },
            log: self.log.max(other.log),
            sessions: self.sessions.max(other.sessions),
            keys: self.keys.max(other.keys),
            processes: self.processes.max(other.processes),
            live_requests: self.live_requests.max(other.live_requests),
        }
    }
}

fn held(world: &World, node: Place) -> Held {
    let handle = world.machines.handle(node).expect("nothing goes wrong");
    let (status, view) = (handle.status(), handle.view());
    let state = view.state();
    Held {
        disk: world.machines.disk(node).usage(),
        log: status.last_log - status.purged,
        sessions: state.sessions.iter().count(),
        keys: state.idempotency.len(),
        processes: world.machines.processes.running().len(),
        live_requests: state.requests.len(),
    }
}

/// A write under a key every half minute, and a request every ten minutes, for a day.
#[test]
fn a_day_of_low_load_leaves_nothing_behind_but_what_is_kept_by_promise() {
    const WRITES: u64 = 24 * 3_600 / 30;
    /// Fewer than happen in six hours.
    const EVENTS_MAX: u64 = 1_000;
    let mut plan = quiet(3);
    // As fast as a day needs; everything else scales.
    plan.timing = Timing {
        raft_heartbeat: Duration::from_secs(1),
        election_min: Duration::from_secs(2),
        election_max: Duration::from_secs(4),
        node_heartbeat: Duration::from_secs(2),
        ack_age_max: Duration::from_secs(5),
        lease: Duration::from_secs(20),
        owner_lost_after: Duration::from_secs(40),
        ..Timing::default()
    };
    plan.timing.check().expect("they fit together");
    let told = Rc::new(Cell::new(None));
    let telling = Rc::clone(&told);
    let report = run_with(&plan.clone(), |world: World, workload: Workload| async move {
        let start = Instant::now();
        let leads = leader(&world).await;
        let handle = world.machines.handle(leads).expect("it is up");
        for shorter in [Setting::IdempotencyHours(1), Setting::EventsMax(EVENTS_MAX)] {
            let set = handle.propose(Command::SetSetting(shorter), ProposeOptions::client()).await;
            set.expect("it leads").reply.expect("a legal value");
        }
        let mut client = workload.client(1, 1).always_with_key();
        let net = Arc::clone(&world.machines.net);
        let mut requests =
            Requests::new(net, Arc::clone(&world.machines.oracle)).client(1, 1, &plan.requests);
        let (mut most, mut archived) = ([None; 24], 0);
        for number in 0..WRITES {
            sleep_until(start + Duration::from_secs(30) * u32::try_from(number).expect("few")).await;
            assert!(matches!(put(&mut client, 1 + number % 3, number).await, Outcome::Put { .. }));
            if number % 20 == 0 {
                archived +=
                    u64::from(requests.ask("once", "work", Duration::from_secs(5), 0).await.is_some());
            }
            let hour = &mut most[usize::try_from(number / 120).expect("24")];
            for node in world.machines.net.nodes() {
                let now = held(&world, node);
                *hour = Some(hour.map_or(now, |most: Held| most.max(now)));
            }
        }
        telling.set(Some((most, archived)));
    });
    assert_well(&report);
    let (most, archived) = told.take().expect("the story was told to its end");
    let [early, late] = [6, 23].map(|hour: usize| most[hour].expect("each hour was looked at"));
    assert!(archived >= 140, "{archived} requests were stored");
    // Finished requests are kept: rows grow with them, and with nothing else.
    let rows_of_requests = usize::try_from(archived).expect("few") * 12;
    assert!(late.disk.rows <= early.disk.rows + rows_of_requests, "{early:?} and {late:?}");
    assert!(late.disk.files <= early.disk.files + 2, "{early:?} and {late:?}");
    assert!(late.log <= early.log + 64 && late.log < 1_000, "{early:?} and {late:?}");
    assert!(late.sessions == 3 && late.keys <= 130 && late.live_requests <= 1, "{late:?}");
    assert!(report.tally.terms <= 4, "{report}");
}
