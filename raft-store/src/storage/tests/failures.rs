//! Writes and syncs that fail: the first is the last thing the directory does.

use std::sync::Arc;

use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::type_config::TypeConfigExt;

use super::harness::{Directory, Reasons, blank, history, open_with, vote};
use crate::{
    storage::{OpenError, Opened},
    type_config::TypeConfig,
};

/// Every kind of write must fail now, also when the disk itself would work again.
pub(super) async fn assert_latched(opened: &mut Opened, reasons: &Reasons) {
    let (reported, report) = TypeConfig::oneshot();
    let next = opened.log.last().map_or(0, |last| last.index() + 1);
    if opened.log.append(vec![blank(1, next)], IOFlushed::signal(reported)).await.is_ok() {
        assert!(report.await.unwrap().is_err(), "an append was reported as durable");
    }
    assert!(opened.log.save_vote(&vote(9)).await.is_err(), "a vote was saved");
    let entries = futures::stream::iter([Ok((blank(1, next), None))]);
    assert!(opened.machine.apply(entries).await.is_err(), "an entry was applied");
    let mut builder = opened.machine.try_create_snapshot_builder(true).await.unwrap();
    assert!(builder.build().await.is_err(), "a snapshot was built");
    assert_eq!(reasons.all().len(), 1, "the node is told once: {:?}", reasons.all());
}

#[tokio::test]
async fn a_failed_write_or_sync_is_the_last() {
    for failing in
        ["write log", "sync log", "write state", "checkpoint", "sync_file", "sync_dir snapshots", "rename"]
    {
        let directory = Directory::new();
        let (disk, controls) = directory.controlled();
        let reasons = Arc::new(Reasons::default());
        let mut opened = open_with(disk, Arc::clone(&reasons)).await.unwrap();
        opened.commit(history(3)).await;
        controls.fail(failing);
        match failing {
            "write log" | "sync log" => assert!(opened.log.save_vote(&vote(2)).await.is_err(), "{failing}"),
            "write state" => {
                let entries = futures::stream::iter([Ok((blank(1, 4), None))]);
                assert!(opened.machine.apply(entries).await.is_err(), "{failing}");
            }
            _ => {
                let mut builder = opened.machine.try_create_snapshot_builder(true).await.unwrap();
                assert!(builder.build().await.is_err(), "{failing}");
            }
        }
        controls.mend();
        assert_latched(&mut opened, &reasons).await;
        drop(opened);
        let opened = directory.open().await;
        assert_eq!(opened.machine.view().index(), 3, "{failing}: what was there before is there");
    }
}

#[tokio::test]
async fn a_vote_whose_sync_failed_is_not_told() {
    use openraft::RaftLogReader;
    let directory = Directory::new();
    let (disk, controls) = directory.controlled();
    let mut opened = open_with(disk, Arc::default()).await.unwrap();
    controls.fail("sync log");
    assert!(opened.log.save_vote(&vote(2)).await.is_err());
    assert_eq!(opened.log.read_vote().await.unwrap(), None);
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_stops_the_node() {
    let directory = Directory::new();
    let reasons = Arc::new(Reasons::default());
    let mut opened = open_with(directory.disk(), Arc::clone(&reasons)).await.unwrap();
    let unreadable = super::harness::bulk(1, 1, 100);
    let result = opened.machine.apply(futures::stream::iter([Ok((unreadable, None))])).await;
    assert!(result.is_err());
    assert_eq!(reasons.all().len(), 1);
    assert_eq!(opened.machine.view().index(), 0);
}

#[tokio::test]
async fn a_directory_in_use_is_not_opened_again() {
    let directory = Directory::new();
    let opened = directory.open().await;
    let refused = directory.try_open().await;
    assert!(matches!(refused.err(), Some(OpenError::InUse(_))));
    assert_eq!(opened.store.identity().get().boot, 1, "the one that was refused has changed nothing");
    drop(opened);
    directory.open().await;
}
