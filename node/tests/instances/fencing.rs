//! When instances end and when they do not: with their node, not with the lease of jobs.

use std::time::Duration;

use capstan_model::{ids::Incarnation, workflow::command::TryEnd};
use capstan_node::{
    executor::{Executor, instances::InstanceRefused},
    guardian::{
        BootTime,
        instance_spec::{InstanceId, InstanceProcess, InstanceSpec, Output, Place, Resources},
        protocol::End,
    },
};
use tokio::time::timeout;

use crate::{
    guardian_world::{FIRST_LIFE, PATIENCE, World, is_alive, pid_in, script as job, until},
    machine::{ID, Machine, script, unwatched},
};

/// Leaves a daemon in a session of its own beside the process itself.
const FAMILY: &str = "(setsid sh -c 'echo $$ > ../../daemon; exec sleep 1000' &); \
    echo $$ > ../../main; while :; do sleep 1000; done";

fn spec(world: &World, number: u32, text: &str) -> InstanceSpec {
    InstanceSpec {
        process: InstanceProcess { instance: ID, number },
        program: "/bin/sh".to_owned(),
        args: vec!["-c".to_owned(), text.to_owned()],
        env: Vec::new(),
        folder: world.file("instances").join(ID.to_string()),
        directory: None,
        user: None,
        open_files: None,
        resources: Resources::default(),
        output: Output::Held,
        place: Place::Inside { network: None },
    }
}

#[tokio::test]
async fn an_instance_outlives_the_lease_of_jobs() {
    let mut machine = Machine::new(unwatched(script(FAMILY))).await;
    machine.running().await;
    let pids = [machine.world.pid_in("main").await, machine.world.pid_in("daemon").await];
    machine.world.start(job(1, "echo $$ > ../../job; sleep 1000")).await;
    let in_job = machine.world.pid_in("job").await;
    machine.world.executor.renew_lease(BootTime::now().after(Duration::from_millis(100)));
    assert_eq!(machine.world.next_end().await.end, TryEnd::CutOff);
    assert!(!is_alive(in_job));
    assert!(pids.iter().all(|pid| is_alive(*pid)), "an instance was killed with the lease");

    // Instances start without a lease, and jobs again with one.
    let instances = machine.world.executor.instances();
    let end = instances.start(spec(&machine.world, 50, "echo held; echo too >&2; exit 3")).await.unwrap();
    let end = timeout(PATIENCE, end).await.unwrap().unwrap();
    assert_eq!((end.end, &*end.held.bytes), (End::Exited(3), &b"held\ntoo\n"[..]));
    machine.world.executor.renew_lease(BootTime::now().after(PATIENCE));
    assert_eq!(machine.world.run(job(2, "true")).await.end, TryEnd::Complete);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
}

#[tokio::test]
async fn everything_of_an_instance_dies_with_the_node() {
    let mut machine = Machine::new(unwatched(script(FAMILY))).await;
    machine.running().await;
    let pids = [machine.world.pid_in("main").await, machine.world.pid_in("daemon").await];
    let status = machine.world.executor.shut_down().await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "the guardian left before its instances");
}

#[tokio::test]
async fn everything_of_an_instance_dies_with_the_guardian() {
    let mut machine = Machine::new(unwatched(script(FAMILY))).await;
    machine.running().await;
    let pids = [machine.world.pid_in("main").await, machine.world.pid_in("daemon").await];
    crate::guardian_world::send(machine.world.guardian, nix::sys::signal::Signal::SIGKILL);
    assert_eq!(machine.crashed().await, "the guardian is gone");
    until("the family to die", || pids.iter().all(|pid| !is_alive(*pid))).await;
}

#[tokio::test]
async fn a_new_incarnation_begins_without_instances() {
    let mut machine = Machine::new(unwatched(script(FAMILY))).await;
    machine.running().await;
    let main = machine.world.pid_in("main").await;
    machine.world.executor.begin(Incarnation { boot: 2, ..FIRST_LIFE }).await.unwrap();
    assert!(!is_alive(main));
    assert!(!machine.crashed().await.is_empty());
}

#[tokio::test]
async fn ending_one_instance_spares_another_and_jobs() {
    let mut machine = Machine::new(unwatched(script(FAMILY))).await;
    machine.running().await;
    let pids = [machine.world.pid_in("main").await, machine.world.pid_in("daemon").await];
    machine.world.start(job(1, "echo $$ > ../../job; while ! [ -e ../../go ]; do sleep 0.01; done")).await;
    let in_job = machine.world.pid_in("job").await;
    let instances = machine.world.executor.instances();
    let other = InstanceId(7);
    let text = "(setsid sleep 1000 &); echo $$ > ../../other; sleep 1000";
    let other_spec = InstanceSpec {
        process: InstanceProcess { instance: other, number: 1 },
        folder: machine.world.file("instances").join(other.to_string()),
        ..spec(&machine.world, 1, text)
    };
    let end = instances.start(other_spec).await.unwrap();
    let in_other = pid_in(&machine.world.file("other")).await;
    timeout(PATIENCE, instances.end(other)).await.unwrap().unwrap();
    assert!(!is_alive(in_other));
    assert_eq!(timeout(PATIENCE, end).await.unwrap().unwrap().end, End::Signalled(9));
    assert!(pids.iter().chain([&in_job]).all(|pid| is_alive(*pid)));
    std::fs::write(machine.world.file("go"), "").unwrap();
    assert_eq!(machine.world.next_end().await.end, TryEnd::Complete);
    // One that is not there is gone.
    instances.end(other).await.unwrap();
}

#[tokio::test]
async fn a_number_is_used_once() {
    let world = World::new().await;
    let instances = world.executor.instances();
    let end = instances.start(spec(&world, 2, "exit 4")).await.unwrap();
    assert_eq!(timeout(PATIENCE, end).await.unwrap().unwrap().end, End::Exited(4));
    for number in [1, 2] {
        let refused = instances.start(spec(&world, number, "true")).await.unwrap_err();
        assert_eq!(refused, InstanceRefused::Over { process: InstanceProcess { instance: ID, number } });
    }
    instances.end(ID).await.unwrap();
}
