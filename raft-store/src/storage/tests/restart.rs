//! What a restart makes of a log and a state that a crash has left at different places.
//!
//! The crashes are made by hand: the log engine is opened on its own, and its tail removed or replaced.

use openraft::{
    storage::{IOFlushed, RaftLogStorage, RaftStateMachine},
    type_config::TypeConfigExt,
};

use super::harness::{Directory, blank, history, log_id, open_on, put, vote};
use crate::{
    engine::{Batch, EngineKind},
    rows,
    storage::OpenError,
    type_config::{RaftEntry, TypeConfig},
};

/// Makes the log end at `last`, and then holds `instead`.
pub(super) fn rewrite_log(directory: &Directory, last: u64, instead: &[RaftEntry]) {
    let engine = directory.disk().open_engine("log", EngineKind::Log).unwrap();
    let mut batch = Batch::default();
    batch.delete_range(rows::entry_key(last + 1), rows::entries_end());
    for entry in instead {
        batch.put(rows::entry_key(entry.log_id.index()), rows::encode_entry(entry));
    }
    engine.write(batch).unwrap();
}

/// A directory whose state is at 10 while only the first 4 entries were durable when it got there.
async fn applied_ahead_of_the_log() -> Directory {
    let directory = Directory::new();
    let (disk, controls) = directory.controlled();
    let mut opened = open_on(disk).await.unwrap();
    opened.append(history(4)).await;
    controls.hold_syncs();
    let rest = history(10).split_off(4);
    let (reported, _report) = TypeConfig::oneshot();
    opened.log.append(rest, IOFlushed::signal(reported)).await.unwrap();
    opened.apply(history(10)).await;
    drop(opened);
    directory
}

#[tokio::test]
async fn a_log_that_lost_acknowledged_entries_is_refused() {
    let directory = applied_ahead_of_the_log().await;
    rewrite_log(&directory, 3, &[]);
    let refused = directory.try_open().await;
    assert!(matches!(refused.err(), Some(OpenError::LogLost { last: Some(3), flushed: 4 })));
}

#[tokio::test]
async fn a_log_that_ends_below_the_state_starts_anew_behind_a_snapshot() {
    for last in 4..10 {
        let directory = applied_ahead_of_the_log().await;
        rewrite_log(&directory, last, &[]);
        for _ in 0..2 {
            let mut opened = directory.open().await;
            assert_eq!(opened.machine.applied(), Some(log_id(1, 10)));
            assert_eq!(opened.log_ids().await, []);
            let state = opened.log.get_log_state().await.unwrap();
            assert_eq!(state.last_log_id, Some(log_id(1, 10)), "cut at {last}");
            let snapshot = opened.machine.get_current_snapshot().await.unwrap().unwrap();
            assert_eq!(
                snapshot.meta.last_log_id,
                Some(log_id(1, 10)),
                "a snapshot holds what the log does not"
            );
        }
        let mut opened = directory.open().await;
        opened.commit(vec![put(1, 11)]).await;
        assert_eq!(opened.log_ids().await, [log_id(1, 11)]);
    }
}

#[tokio::test]
async fn a_tail_that_was_replaced_before_the_crash_is_thrown_away() {
    // The log has forgotten that its tail, of whatever term, made room for the entries that the state has applied.
    for (term, last) in [(0, 7), (0, 20), (2, 7), (2, 20)] {
        let directory = applied_ahead_of_the_log().await;
        let stale: Vec<_> = (5..=last).map(|index| blank(term, index)).collect();
        rewrite_log(&directory, 4, &stale);
        let mut opened = directory.open().await;
        assert_eq!(opened.machine.applied(), Some(log_id(1, 10)));
        assert_eq!(opened.log_ids().await, [], "term {term} up to {last}");
        assert!(
            opened.log.flushed().index() <= Some(10),
            "what stood behind it was flushed, what will stand there was not"
        );
        assert_eq!(opened.log.get_log_state().await.unwrap().last_log_id, Some(log_id(1, 10)));
    }
}

#[tokio::test]
async fn truncation_lowers_what_counts_as_flushed() {
    // A power cut keeps the truncation and not what followed it, or neither: nobody was told that they were durable.
    let stale: Vec<_> = (5..=10).map(|index| blank(1, index)).collect();
    for survivors in [&[][..], &stale] {
        let directory = Directory::new();
        let (disk, controls) = directory.controlled();
        let mut opened = open_on(disk).await.unwrap();
        opened.append(history(4)).await;
        opened.append(stale.clone()).await;
        opened.log.truncate_after(Some(log_id(1, 4))).await.unwrap();
        controls.hold_syncs();
        let (reported, _report) = TypeConfig::oneshot();
        let newer: Vec<_> = (5..=10).map(|index| put(2, index)).collect();
        opened.log.append(newer.clone(), IOFlushed::signal(reported)).await.unwrap();
        opened.apply([history(4), newer].concat()).await;
        drop((opened, controls));
        rewrite_log(&directory, 4, survivors);
        let opened = directory.open().await;
        assert_eq!(opened.machine.applied(), Some(log_id(2, 10)));
        assert_eq!(opened.log.last(), Some(log_id(2, 10)));
    }
}

#[tokio::test]
async fn a_log_purged_past_the_state_is_refused() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.commit(history(10)).await;
    opened.log.allow_any_purge();
    opened.log.purge(log_id(1, 10)).await.unwrap();
    drop(opened);
    std::fs::remove_dir_all(directory.path().join("state")).unwrap();
    let refused = directory.try_open().await.err();
    assert!(matches!(refused, Some(OpenError::Incomplete { .. })), "{refused:?}");

    // Without the pointer's folder there is no state at all; with an old one there is too little.
    let directory = Directory::new();
    directory.open().await.commit(history(5)).await;
    let old = directory.copy();
    let mut opened = directory.open().await;
    opened.commit((6..=10).map(|index| put(1, index)).collect()).await;
    opened.log.allow_any_purge();
    opened.log.purge(log_id(1, 8)).await.unwrap();
    drop(opened);
    std::fs::remove_dir_all(directory.path().join("state")).unwrap();
    std::fs::rename(old.path().join("state"), directory.path().join("state")).unwrap();
    let refused = directory.try_open().await.err();
    assert!(matches!(refused, Some(OpenError::StateLost { purged: 8, applied: Some(5) })), "{refused:?}");
}

#[tokio::test]
async fn a_state_that_was_thrown_back_is_brought_to_the_newest_snapshot() {
    let directory = Directory::new();
    directory.open().await.commit(history(5)).await;
    let old = directory.copy();
    let mut opened = directory.open().await;
    opened.commit((6..=10).map(|index| put(1, index)).collect()).await;
    let checksum = opened.machine.view().state().checksum();
    opened.snapshot().await;
    opened.log.purge(log_id(1, 10)).await.unwrap();
    drop(opened);
    std::fs::remove_dir_all(directory.path().join("state")).unwrap();
    std::fs::rename(old.path().join("state"), directory.path().join("state")).unwrap();
    let opened = directory.open().await;
    assert_eq!(opened.machine.applied(), Some(log_id(1, 10)));
    assert_eq!(opened.machine.view().state().checksum(), checksum);
}

#[tokio::test]
async fn a_directory_without_its_identity_or_pointer_is_refused() {
    for missing in ["identity", "state/CURRENT"] {
        let directory = Directory::new();
        let mut opened = directory.open().await;
        opened.log.save_vote(&vote(1)).await.unwrap();
        opened.commit(history(3)).await;
        drop(opened);
        let copy = directory.copy();
        std::fs::remove_file(directory.path().join(missing)).unwrap();
        let refused = directory.try_open().await.err();
        assert!(matches!(refused, Some(OpenError::Incomplete { .. })), "{missing}: {refused:?}");
        let left = |directory: &Directory| std::fs::read_dir(directory.path().join("state/00000001")).is_ok();
        assert!(left(&directory) && left(&copy), "{missing}: a refusal removes nothing");
    }
}

#[tokio::test]
async fn a_snapshot_with_a_missing_file_is_a_hard_failure() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.commit(history(3)).await;
    let snapshot = opened.snapshot().await;
    let file = directory.path().join(snapshot.db()).join(&snapshot.manifest().files[0].name);
    drop((opened, snapshot));
    std::fs::remove_file(file).unwrap();
    let refused = directory.try_open().await.err();
    assert!(matches!(refused, Some(OpenError::Disk { attempted: "open the snapshots", .. })), "{refused:?}");
}

#[tokio::test]
async fn a_dangling_pointer_is_a_hard_failure() {
    let directory = Directory::new();
    directory.open().await.commit(history(3)).await;
    std::fs::remove_dir_all(directory.path().join("state/00000001")).unwrap();
    let refused = directory.try_open().await.err();
    assert!(matches!(refused, Some(OpenError::Disk { attempted: "find the state", .. })), "{refused:?}");
}

#[tokio::test]
async fn each_opening_is_a_life_and_the_disk_keeps_its_id() {
    let directory = Directory::new();
    for boot in 1..=3 {
        let opened = directory.open().await;
        let identity = opened.store.identity().get();
        assert_eq!((identity.boot, identity.disk.0), (boot, 0xd15c));
    }
    let mut opened = directory.open().await;
    // Who meets a cluster has voted in it before.
    opened.log.save_vote(&vote(1)).await.unwrap();
    let cluster = capstan_model::ids::ClusterId(7);
    opened.store.identity().set_cluster(cluster).unwrap();
    opened.store.identity().set_cluster(cluster).unwrap();
    assert!(opened.store.identity().set_cluster(capstan_model::ids::ClusterId(8)).is_err());
    drop(opened);
    assert_eq!(directory.open().await.store.identity().get().cluster, Some(cluster));
}

#[tokio::test]
async fn a_directory_that_met_a_cluster_is_refused_without_its_log() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.log.save_vote(&vote(1)).await.unwrap();
    opened.store.identity().set_cluster(capstan_model::ids::ClusterId(7)).unwrap();
    drop(opened);
    std::fs::remove_dir_all(directory.path().join("log")).unwrap();
    let refused = directory.try_open().await.err();
    assert!(matches!(refused, Some(OpenError::Incomplete { missing: "the log" })), "{refused:?}");
}
