//! When processes must end: with their node, with its lease, with the guardian, and before the next life.

mod guardian_world;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use capstan_model::{ids::Incarnation, workflow::command::TryEnd};
use capstan_node::{
    executor::{ExecEvent, Executor, StartRefused, StartSpec},
    guardian::{BootTime, clear_leftovers},
};
use guardian_world::{
    FIRST_LIFE, PATIENCE, World, helpless_node, is_alive, key, launch, pid_in, pid_of, script, send, until,
};
use nix::{
    sys::{
        signal::Signal,
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};

/// What design.md 5 allows between the end of a lease and the death of the last process.
const KILL_MAX: Duration = Duration::from_secs(1);

/// A job with a child in its group, and a daemon that left session, parents and environment behind.
const FAMILY: &str = "sleep 100 & echo $! > ../../child; \
    (setsid env -i sh -c 'trap \"\" TERM HUP; sh -c \"echo \\$\\$ > ../../daemon; exec sleep 100\" &' &); \
    trap '' TERM; echo $$ > ../../main; while :; do sleep 100; done";
const MEMBERS: [&str; 3] = ["main", "child", "daemon"];

async fn family(folder: &Path) -> Vec<Pid> {
    let mut pids = Vec::new();
    for name in MEMBERS {
        let pid = pid_in(&folder.join(name)).await;
        assert!(is_alive(pid), "{name}");
        pids.push(pid);
    }
    pids
}

async fn all_dead(pids: &[Pid]) {
    until("the family to die", || pids.iter().all(|pid| !is_alive(*pid))).await;
}

#[tokio::test]
async fn everything_dies_with_the_node() {
    let world = World::new().await;
    world.start(script(1, FAMILY)).await;
    let pids = family(world.folder.path()).await;
    let began = Instant::now();
    let status = world.executor.shut_down().await.unwrap().unwrap();
    assert!(began.elapsed() < KILL_MAX, "took {:?}", began.elapsed());
    assert!(status.success(), "{status}");
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "the guardian left before its processes");
}

#[tokio::test]
async fn everything_dies_with_the_lease() {
    let mut world = World::new().await;
    world.start(script(1, FAMILY)).await;
    let pids = family(world.folder.path()).await;
    let end = BootTime::now().after(Duration::from_millis(300));
    world.executor.renew_lease(end);
    let outcome = world.next_end().await;
    assert_eq!(outcome.end, TryEnd::CutOff);
    assert_eq!(&*outcome.error, "node 7 was cut off while the job ran");
    assert!(BootTime::now() >= end, "killed before the lease was over");
    all_dead(&pids).await;
    assert!(BootTime::now() < end.after(KILL_MAX));
    assert_eq!(world.executor.start(script(2, "true")).await.unwrap_err(), StartRefused::LeaseOver);

    world.executor.renew_lease(BootTime::now().after(PATIENCE));
    assert_eq!(world.run(script(3, "true")).await.end, TryEnd::Complete);
}

#[tokio::test]
async fn a_renewed_lease_kills_nothing() {
    let mut world = World::new().await;
    let first_end = BootTime::now().after(Duration::from_millis(300));
    world.executor.renew_lease(first_end);
    world.start(script(1, "while ! [ -e ../../go ]; do sleep 0.01; done")).await;
    world.executor.renew_lease(BootTime::now().after(PATIENCE));
    // One that was under way when a later one had arrived.
    world.executor.renew_lease(first_end);
    until("the first lease to end", || BootTime::now() > first_end.after(Duration::from_millis(50))).await;
    fs::write(world.file("go"), "").unwrap();
    assert_eq!(world.next_end().await.end, TryEnd::Complete);
}

#[tokio::test]
async fn a_new_incarnation_begins_with_nothing() {
    let mut world = World::new().await;
    world.start(script(1, FAMILY)).await;
    let pids = family(world.folder.path()).await;
    world.executor.begin(Incarnation { boot: 2, ..FIRST_LIFE }).await.unwrap();
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "it began before the old life ended");
    assert!(world.executor.register().await.unwrap().is_empty());
    // Keys count per incarnation.
    world.start(script(1, "echo $CAPSTAN_INCARNATION > ../../life")).await;
    until("the second run", || world.file("life").exists()).await;
    // The end of the first run may have been reported as well, and fails.
    while world.next_end().await.end != TryEnd::Complete {}
    assert_eq!(fs::read_to_string(world.file("life")).unwrap(), "7.2.000000000000feed\n");
}

#[tokio::test]
async fn jobs_die_with_their_guardian() {
    let mut world = World::new().await;
    // The daemon keeps its environment here: with the guardian dead nothing else tells whose it is.
    let text = FAMILY.replace("env -i ", "");
    world.start(script(1, &text)).await;
    let pids = family(world.folder.path()).await;
    send(world.guardian, Signal::SIGKILL);
    let event = world.next_event().await;
    assert!(matches!(event, ExecEvent::Gone), "{event:?}");
    all_dead(&pids).await;
    assert!(matches!(world.executor.start(script(2, "true")).await, Err(StartRefused::Gone(_))));
    assert!(world.executor.register().await.is_err());
    assert!(world.executor.call(StartSpec::new(key(3), "true"), PATIENCE).await.is_err());
}

#[tokio::test]
async fn a_guardian_does_not_heed_what_a_terminal_sends() {
    let mut world = World::new().await;
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        send(world.guardian, signal);
    }
    assert_eq!(world.run(script(1, "true")).await.end, TryEnd::Complete);
}

#[tokio::test]
async fn a_new_life_ends_what_a_killed_guardian_left() {
    let folder = tempfile::tempdir().unwrap();
    let mut guardian = helpless_node(folder.path(), &FAMILY.replace("env -i ", ""));
    let pids = family(folder.path()).await;
    send(pid_of(&guardian.process), Signal::SIGKILL);
    guardian.process.wait().unwrap();
    all_dead(&pids[..1]).await;
    assert!(is_alive(pids[2]), "a daemon is not reached by the death of the guardian");

    // The next guardian may run already; it is no leftover.
    let mut next = launch(folder.path());
    let cleared = clear_leftovers(folder.path()).unwrap();
    assert!(cleared.killed >= 1, "{cleared:?}");
    all_dead(&pids).await;
    assert!(!folder.path().join("jobs").exists());
    assert_eq!(next.process.try_wait().unwrap(), None, "the new guardian was taken for a leftover");
    let again = clear_leftovers(folder.path()).unwrap();
    assert_eq!((again.killed, again.waited), (0, false));
    drop(next.socket);
    assert!(next.process.wait().unwrap().success());
}

#[tokio::test]
async fn a_new_life_waits_for_a_guardian_at_work_and_ends_one_that_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut guardian = helpless_node(folder.path(), FAMILY);
    let pids = family(folder.path()).await;
    drop(guardian.socket);
    let cleared = clear_leftovers(folder.path()).unwrap();
    assert!(pids.iter().all(|pid| !is_alive(*pid)), "{cleared:?}");
    guardian.process.wait().unwrap();

    MEMBERS.iter().for_each(|name| fs::remove_file(folder.path().join(name)).unwrap());
    let mut guardian = helpless_node(folder.path(), &FAMILY.replace("env -i ", ""));
    let pids = family(folder.path()).await;
    let stopped = pid_of(&guardian.process);
    send(stopped, Signal::SIGSTOP);
    waitid(Id::Pid(stopped), WaitPidFlag::WSTOPPED).unwrap();
    drop(guardian.socket);
    let cleared = clear_leftovers(folder.path()).unwrap();
    assert!(cleared.waited, "{cleared:?}");
    all_dead(&pids).await;
    assert!(!guardian.process.wait().unwrap().success());
}
