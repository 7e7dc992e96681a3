//! One thing that goes wrong by itself, and what must be seen of it.

use std::time::Duration;

use capstan_sim_tests::{
    disk::Flips,
    faults::{DiskFault, Fault, NetworkFault, Planned, Target},
    net::Latency,
    plan::{Heal, Plan},
    probes::Buggify,
    run::{Report, run},
};

/// A run in which only this goes wrong, at 8 s.
fn with(seed: u64, fault: Fault) -> Report {
    let planned = Planned { at: Duration::from_secs(8), lasts: Duration::from_secs(10), fault };
    let plan = Plan {
        nodes: 3,
        safety: Duration::from_secs(30),
        heal: Heal::All,
        latency: Latency::Lan,
        buggify: Buggify::Off,
        schedule: vec![planned],
        ..Plan::from_seed(seed)
    };
    run(&plan)
}

/// Every seed is well, and one of them has seen this.
fn sees(name: &str, fault: impl Fn(u64) -> Fault) {
    let mut seen = 0;
    for seed in 1..=6 {
        let report = with(seed, fault(seed));
        assert!(report.violations.is_empty(), "{report}");
        seen += report.counts.get(name).copied().unwrap_or(0);
    }
    assert!(seen > 0, "{name}");
}

#[test]
fn a_new_directory_under_an_old_node_id_is_refused() {
    sees("wiped directory refused under its node id", |_| Fault::Disk(DiskFault::Wiped(Target::Leader)));
}

#[test]
fn a_directory_that_was_put_back_is_refused() {
    sees("restored directory refused by its boot count", |_| {
        Fault::Disk(DiskFault::Restored(Target::Follower(0)))
    });
}

#[test]
fn a_flipped_bit_of_the_log_is_found() {
    sees("damaged value detected", |seed| Fault::Disk(DiskFault::Flip(Target::Leader, Flips::Log, seed)));
}

#[test]
fn a_full_disk_is_told_to_clients_and_heals() {
    sees("client refused because a disk is nearly full", |_| {
        Fault::Disk(DiskFault::Full(Target::Leader, 100_000))
    });
    sees("disk has room again", |_| Fault::Disk(DiskFault::Full(Target::Leader, 100_000)));
}

#[test]
fn a_node_at_an_address_of_another_is_refused() {
    let seen = "hello refused at an address of someone else";
    sees(seen, |_| Fault::Network(NetworkFault::WrongPeer(Target::Leader, Target::Follower(0))));
    sees(seen, |_| Fault::Network(NetworkFault::OtherCluster(Target::Leader)));
}
