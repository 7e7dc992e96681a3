//! Snapshots being built, received and installed, stopped dead at every single change of the disk.

use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::type_config::TypeConfigExt;

use super::harness::{Directory, history, log_id, open_on, put};
use crate::{
    snapshot::SnapshotHandle,
    storage::Opened,
    type_config::{SnapshotMeta, TypeConfig},
};

/// More changes than anything tested here makes.
const CHANGES_MAX: usize = 400;

async fn receive_and_install(to: &mut Opened, snapshot: &SnapshotHandle) -> std::io::Result<()> {
    let received = to.receive(snapshot).await?;
    let meta: SnapshotMeta = snapshot.manifest().meta();
    to.machine.install_snapshot(&meta, received).await
}

/// The names in a folder, without those that are not folders.
fn folders(directory: &Directory, path: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path().join(path)).unwrap().map(Result::unwrap);
    let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What must hold of every directory that was just opened.
fn assert_tidy(directory: &Directory, opened: &Opened) {
    assert_eq!(folders(directory, "state").len(), 1, "one database");
    let snapshots = folders(directory, "snapshots");
    assert!(snapshots.len() <= 2, "{snapshots:?}");
    assert!(snapshots.iter().all(|name| name.starts_with('0')), "only complete snapshots: {snapshots:?}");
    let (applied, last) = (opened.machine.applied(), opened.log.last());
    assert!(applied <= last && opened.log.purged() <= applied, "log up to {last:?}, state at {applied:?}");
}

#[tokio::test]
async fn an_installation_happens_whole_or_not_at_all() {
    let (leader, follower) = (Directory::new(), Directory::new());
    let mut from = leader.open().await;
    from.commit(history(20)).await;
    let snapshot = from.snapshot().await;
    let new = from.machine.view().state().checksum();
    let mut to = follower.open().await;
    to.commit(history(4)).await;
    let old = to.machine.view().state().checksum();
    drop(to);

    let (mut before, mut after) = (0, 0);
    for stop in 0..CHANGES_MAX {
        let directory = follower.copy();
        let (disk, controls) = directory.controlled();
        let mut to = open_on(disk).await.unwrap();
        controls.stop_after(stop);
        let result = receive_and_install(&mut to, &snapshot).await;
        let stopped = controls.has_stopped();
        drop(to);

        let to = directory.open().await;
        assert_tidy(&directory, &to);
        let (index, checksum) = (to.machine.view().index(), to.machine.view().state().checksum());
        match index {
            4 => assert_eq!(checksum, old, "stopped after {stop} changes"),
            20 => assert_eq!(checksum, new, "stopped after {stop} changes"),
            other => panic!("stopped after {stop} changes: the state is at {other}"),
        }
        assert!(index == 20 || result.is_err(), "stopped after {stop} changes: it was installed and is gone");
        before += usize::from(index == 4);
        after += usize::from(index == 20);
        if !stopped {
            assert!(before > 10 && after > 3, "the changes were counted: {before}, {after}");
            return;
        }
    }
    panic!("more changes than expected");
}

#[tokio::test]
async fn a_snapshot_is_built_whole_or_not_at_all() {
    let template = Directory::new();
    template.open().await.commit(history(10)).await;
    for stop in 0..CHANGES_MAX {
        let directory = template.copy();
        let (disk, controls) = directory.controlled();
        let mut opened = open_on(disk).await.unwrap();
        controls.stop_after(stop);
        let mut builder = opened.machine.try_create_snapshot_builder(true).await.unwrap();
        let result = builder.build().await.map(drop);
        let stopped = controls.has_stopped();
        drop((builder, opened));

        let mut opened = directory.open().await;
        assert_tidy(&directory, &opened);
        assert_eq!(opened.machine.view().index(), 10);
        let current = opened.machine.get_current_snapshot().await.unwrap();
        assert!(
            result.is_err() || current.is_some(),
            "stopped after {stop} changes: it was offered and is gone"
        );
        if let Some(current) = current {
            current.snapshot.check().unwrap();
            assert_eq!(current.meta.last_log_id, Some(log_id(1, 10)));
        }
        if !stopped {
            return assert!(stop > 8, "the changes were counted");
        }
    }
    panic!("more changes than expected");
}

#[tokio::test]
async fn a_first_opening_that_was_cut_short_can_be_repeated() {
    for stop in 0..CHANGES_MAX {
        let directory = Directory::new();
        let (disk, controls) = directory.controlled();
        controls.stop_after(stop);
        let result = open_on(disk).await.map(drop);
        let stopped = controls.has_stopped();
        let mut opened = directory.open().await;
        opened.commit(history(2)).await;
        assert_eq!(opened.variables(), ["v2"]);
        if !stopped {
            assert!(result.is_ok() && stop > 8, "the changes were counted");
            return;
        }
    }
    panic!("more changes than expected");
}

#[tokio::test]
async fn a_recovery_that_was_cut_short_can_be_repeated() {
    // The state is at 10, the log has lost what was not durable of it.
    let template = Directory::new();
    let (disk, controls) = template.controlled();
    let mut opened = open_on(disk).await.unwrap();
    opened.append(history(4)).await;
    controls.hold_syncs();
    let (reported, _report) = TypeConfig::oneshot();
    opened.log.append(history(10).split_off(4), IOFlushed::signal(reported)).await.unwrap();
    opened.apply(history(10)).await;
    let checksum = opened.machine.view().state().checksum();
    drop((opened, controls));
    super::restart::rewrite_log(&template, 6, &[]);

    for stop in 0..CHANGES_MAX {
        let directory = template.copy();
        let (disk, controls) = directory.controlled();
        controls.stop_after(stop);
        let result = open_on(disk).await.map(drop);
        let stopped = controls.has_stopped();
        let opened = directory.open().await;
        assert_tidy(&directory, &opened);
        assert_eq!(opened.machine.view().state().checksum(), checksum, "stopped after {stop} changes");
        assert_eq!(opened.log.last(), Some(log_id(1, 10)), "stopped after {stop} changes");
        if !stopped {
            assert!(result.is_ok() && stop > 8, "the changes were counted");
            return;
        }
    }
    panic!("more changes than expected");
}

#[tokio::test]
async fn two_snapshots_are_kept_and_those_being_sent() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.commit(history(2)).await;
    let sent = opened.snapshot().await;
    for index in 3..=6 {
        opened.commit(vec![put(1, index)]).await;
        drop(opened.snapshot().await);
    }
    sent.check().unwrap();
    let indexes = |directory: &Directory| -> Vec<u64> {
        let names = folders(directory, "snapshots");
        names.iter().map(|name| name.split_once('-').unwrap().0.parse().unwrap()).collect()
    };
    assert_eq!(indexes(&directory), [2, 5, 6]);
    drop(sent);
    opened.commit(vec![put(1, 7)]).await;
    opened.snapshot().await;
    assert_eq!(indexes(&directory), [6, 7]);
}

#[tokio::test]
async fn what_is_not_installed_leaves_nothing_behind() {
    let (leader, follower) = (Directory::new(), Directory::new());
    let mut from = leader.open().await;
    from.commit(history(20)).await;
    let snapshot = from.snapshot().await;
    let mut to = follower.open().await;

    let unfinished = to.store.receive_snapshot(&snapshot.manifest_bytes()).unwrap();
    assert_eq!(folders(&follower, "snapshots").len(), 1);
    drop(unfinished);
    let refused_by_raft = to.receive(&snapshot).await.unwrap();
    assert_eq!(folders(&follower, "snapshots").len(), 1);
    assert!(
        to.machine.get_current_snapshot().await.unwrap().is_none(),
        "it is not offered before it is installed"
    );
    drop(refused_by_raft);
    let mut damaged = to.store.receive_snapshot(&snapshot.manifest_bytes()).unwrap();
    for (file, len) in snapshot.files() {
        let mut bytes = snapshot.read(file, 0, len as usize).unwrap().to_vec();
        if let Some(first) = bytes.first_mut() {
            *first ^= 1;
        }
        damaged.chunk(file, 0, &bytes).unwrap();
    }
    assert!(damaged.finish().await.is_err(), "every hash is checked");
    assert_eq!(folders(&follower, "snapshots"), [""; 0]);
    to.commit(history(3)).await;
}

#[tokio::test]
async fn chunks_are_taken_in_order_and_repeats_passed_over() {
    let (leader, follower) = (Directory::new(), Directory::new());
    let mut from = leader.open().await;
    from.commit(history(20)).await;
    let snapshot = from.snapshot().await;
    let to = follower.open().await;
    let mut receiver = to.store.receive_snapshot(&snapshot.manifest_bytes()).unwrap();
    let (file, len) = snapshot.files().max_by_key(|(_, len)| *len).unwrap();
    let bytes = snapshot.read(file, 0, len as usize).unwrap();
    assert!(receiver.chunk(file, 1, &bytes[1..]).is_err(), "a gap");
    receiver.chunk(file, 0, &bytes[..10]).unwrap();
    receiver.chunk(file, 0, &bytes[..10]).unwrap();
    assert!(receiver.chunk(file, 5, &bytes[5..20]).is_err(), "an overlap");
    assert!(receiver.chunk(file, 10, &[&bytes[10..], &[0]].concat()).is_err(), "too long");
    assert!(receiver.chunk(1_000, 0, &bytes).is_err(), "no such file");
    receiver.chunk(file, 10, &bytes[10..]).unwrap();
    for (other, len) in snapshot.files().filter(|(other, _)| *other != file) {
        receiver.chunk(other, 0, &snapshot.read(other, 0, len as usize).unwrap()).unwrap();
    }
    receiver.finish().await.unwrap();
}

#[tokio::test]
async fn views_from_before_an_installation_stay_as_they_were() {
    let (leader, follower) = (Directory::new(), Directory::new());
    let mut from = leader.open().await;
    from.commit(history(20)).await;
    let snapshot = from.snapshot().await;
    let mut to = follower.open().await;
    to.commit(history(4)).await;
    let before = to.machine.view();
    receive_and_install(&mut to, &snapshot).await.unwrap();
    assert_eq!((before.index(), to.machine.view().index()), (4, 20));
    assert_eq!(folders(&follower, "state").len(), 2, "the view keeps its database");
    drop(before);
    assert_eq!(folders(&follower, "state"), ["00000002"]);
    to.log.purge(log_id(1, 20)).await.unwrap();
    to.commit(vec![put(1, 21)]).await;
    drop(to);
    assert_eq!(follower.open().await.machine.view().index(), 21);
}

#[tokio::test]
async fn the_same_snapshot_can_be_installed_again() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.commit(history(5)).await;
    let checksum = opened.machine.view().state().checksum();
    let snapshot = opened.snapshot().await;
    for _ in 0..2 {
        opened.commit(vec![put(1, opened.log.last().unwrap().index() + 1)]).await;
        opened.machine.install_snapshot(&snapshot.manifest().meta(), snapshot.clone()).await.unwrap();
        assert_eq!(opened.machine.view().state().checksum(), checksum);
        snapshot.check().unwrap();
    }
}

#[tokio::test]
async fn a_kept_snapshot_that_was_damaged_is_not_installed() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.commit(history(5)).await;
    let snapshot = opened.snapshot().await;
    opened.commit(vec![put(1, 6)]).await;
    // A file that RocksDB would take as it is.
    let options = snapshot.manifest().files.iter().find(|file| file.name.starts_with("OPTIONS")).unwrap();
    let path = directory.path().join(snapshot.db()).join(&options.name);
    std::fs::write(&path, [&std::fs::read(&path).unwrap()[..], b"#"].concat()).unwrap();
    let meta = snapshot.manifest().meta();
    assert!(opened.machine.install_snapshot(&meta, snapshot).await.is_err());
    assert_eq!(opened.machine.view().index(), 6);
}
