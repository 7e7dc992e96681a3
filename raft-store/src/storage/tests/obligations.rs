//! The fourteen things openraft needs its storage to keep, one test each.

use futures::{FutureExt, StreamExt, TryStreamExt};
use openraft::{
    RaftLogReader,
    storage::{IOFlushed, RaftLogStorage, RaftStateMachine},
    type_config::TypeConfigExt,
};

use super::harness::{Directory, NODE, blank, bulk, history, log_id, membership, open_on, put, vote};
use crate::{storage::OpenError, type_config::TypeConfig};

#[tokio::test]
async fn o01_a_vote_is_durable_before_save_vote_returns() {
    let directory = Directory::new();
    let (disk, controls) = directory.controlled();
    let mut opened = open_on(disk).await.unwrap();
    controls.hold_syncs();
    {
        let mut reader = opened.log.clone();
        let vote = vote(3);
        let mut saving = std::pin::pin!(opened.log.save_vote(&vote));
        assert!(saving.as_mut().now_or_never().is_none(), "it returned although nothing was synced");
        assert_eq!(reader.read_vote().await.unwrap(), None, "it is told before it is durable");
        controls.release_syncs();
        saving.await.unwrap();
        assert_eq!(reader.read_vote().await.unwrap(), Some(vote));
    }
    drop(opened);
    let mut opened = directory.open().await;
    assert_eq!(opened.log.read_vote().await.unwrap(), Some(vote(3)));
}

#[tokio::test]
async fn o02_writes_are_issued_in_the_order_they_were_asked_for() {
    let directory = Directory::new();
    let (disk, controls) = directory.controlled();
    let mut opened = open_on(disk).await.unwrap();
    let before = controls.changes().len();
    opened.append(vec![blank(1, 0), blank(1, 1)]).await;
    opened.log.save_vote(&vote(2)).await.unwrap();
    opened.log.truncate_after(Some(log_id(1, 0))).await.unwrap();
    opened.append(vec![blank(2, 1)]).await;
    let issued = &controls.changes()[before..];
    assert_eq!(
        issued,
        ["write log", "sync log", "write log", "sync log", "write log", "write log", "sync log"]
    );
    drop(opened);
    let mut opened = directory.open().await;
    assert_eq!(opened.log_ids().await, [log_id(1, 0), log_id(2, 1)]);
    assert_eq!(opened.log.read_vote().await.unwrap(), Some(vote(2)));
}

#[tokio::test]
async fn o03_entries_are_readable_at_once_and_reported_when_they_are_durable() {
    let directory = Directory::new();
    let (disk, controls) = directory.controlled();
    let mut opened = open_on(disk).await.unwrap();
    controls.hold_syncs();
    let (reported, mut report) = TypeConfig::oneshot();
    opened.log.append(vec![blank(1, 0)], IOFlushed::signal(reported)).await.unwrap();
    assert_eq!(opened.log_ids().await, [log_id(1, 0)]);
    assert!((&mut report).now_or_never().is_none(), "it was reported although nothing was synced");
    controls.release_syncs();
    report.await.unwrap().unwrap();
}

#[tokio::test]
async fn o04_completions_come_in_order_and_once() {
    let directory = Directory::new();
    let engine = directory.disk().open_engine("log", crate::engine::EngineKind::Log).unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    for number in 0..2_000_u32 {
        let mut batch = crate::engine::Batch::default();
        batch.put(number.to_be_bytes().to_vec(), vec![0; 100]);
        engine.write(batch).unwrap();
        let sender = sender.clone();
        engine.sync(Box::new(move |result| sender.send((number, result.is_ok())).unwrap()));
    }
    drop(sender);
    drop(engine);
    let completions: Vec<(u32, bool)> = receiver.iter().collect();
    assert_eq!(completions, (0..2_000).map(|number| (number, true)).collect::<Vec<_>>());
}

#[tokio::test]
async fn o05_the_log_has_no_holes() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.append((0..10).map(|index| blank(1, index)).collect()).await;
    let (reported, _report) = TypeConfig::oneshot();
    let gap = opened.log.append(vec![blank(1, 11)], IOFlushed::signal(reported)).await;
    assert!(gap.is_err(), "an entry behind a gap was accepted");
    opened.log.truncate_after(Some(log_id(1, 4))).await.unwrap();
    opened.append(vec![blank(2, 5)]).await;
    drop(opened);
    let mut opened = directory.open().await;
    let expected: Vec<_> = (0..5).map(|index| log_id(1, index)).chain([log_id(2, 5)]).collect();
    assert_eq!(opened.log_ids().await, expected);
}

#[tokio::test]
async fn o06_purging_removes_the_front_and_is_remembered() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.commit(history(10)).await;
    opened.snapshot().await;
    opened.log.purge(log_id(1, 6)).await.unwrap();
    let expected: Vec<_> = (7..=10).map(|index| log_id(1, index)).collect();
    assert_eq!(opened.log_ids().await, expected);
    drop(opened);
    let mut opened = directory.open().await;
    assert_eq!(opened.log_ids().await, expected);
    assert_eq!(opened.log.get_log_state().await.unwrap().last_purged_log_id, Some(log_id(1, 6)));
}

#[tokio::test]
async fn o07_an_empty_log_ends_where_it_was_purged() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.commit(history(10)).await;
    opened.snapshot().await;
    opened.log.purge(log_id(1, 10)).await.unwrap();
    drop(opened);
    let mut opened = directory.open().await;
    let state = opened.log.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(log_id(1, 10)), Some(log_id(1, 10))));
    opened.append(vec![blank(1, 11)]).await;
    assert_eq!(opened.log_ids().await, [log_id(1, 11)]);
}

#[tokio::test]
async fn o08_a_reader_sees_what_is_appended_after_it_was_made() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    let mut reader = opened.log.get_log_reader().await;
    opened.append(vec![blank(1, 0), blank(1, 1)]).await;
    assert_eq!(reader.try_get_log_entries(0..10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn o09_a_reader_may_return_less_but_leaves_no_gap() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    // More than one read may return, and more than is kept in memory.
    let large = 5 << 20;
    opened.append((0..20).map(|index| bulk(1, index, large)).collect()).await;
    for _ in 0..2 {
        let mut start = 0;
        while start < 20 {
            let read = opened.log.limited_get_log_entries(start, 20).await.unwrap();
            let indexes: Vec<u64> = read.iter().map(|entry| entry.log_id.index()).collect();
            assert!(!indexes.is_empty() && indexes.len() < 3, "{indexes:?}");
            assert_eq!(indexes, (start..start + indexes.len() as u64).collect::<Vec<_>>());
            start += indexes.len() as u64;
        }
        // Once more with nothing in memory but the tail.
        drop(opened);
        opened = directory.open().await;
    }
    assert_eq!(opened.log_ids().await.len(), 20);
    #[expect(clippy::reversed_empty_ranges, reason = "a reversed range is what is tested")]
    let reversed = opened.log.try_get_log_entries(7..3).await.unwrap();
    assert!(reversed.is_empty());
}

#[tokio::test]
async fn o10_the_committed_id_is_written_with_the_next_write() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.append(vec![blank(1, 0), blank(1, 1)]).await;
    opened.log.save_committed(Some(log_id(1, 1))).await.unwrap();
    assert_eq!(opened.log.read_committed().await.unwrap(), Some(log_id(1, 1)));
    opened.append(vec![blank(1, 2)]).await;
    drop(opened);
    let mut opened = directory.open().await;
    assert_eq!(opened.log.read_committed().await.unwrap(), Some(log_id(1, 1)));
}

#[tokio::test]
async fn o11_rows_applied_id_and_membership_are_written_together() {
    let directory = Directory::new();
    let (disk, controls) = directory.controlled();
    let mut opened = open_on(disk).await.unwrap();
    opened.append(history(3)).await;
    let before = controls.changes().len();
    opened.apply([history(2), vec![membership(1, 3, &[1, 2, 3])]].concat()).await;
    assert_eq!(controls.changes()[before..], ["write state/00000001"], "one batch for all that was ready");
    let applied = opened.machine.applied_state().await.unwrap();
    let checksum = opened.machine.view().state().checksum();
    drop(opened);
    let mut opened = directory.open().await;
    assert_eq!(opened.machine.applied_state().await.unwrap(), applied);
    assert_eq!(applied.0, Some(log_id(1, 3)));
    assert_eq!(applied.1.voter_ids().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(opened.machine.view().state().checksum(), checksum);
    assert_eq!(opened.variables(), ["v2"]);
}

#[tokio::test]
async fn o11_what_is_applied_may_come_straight_from_the_log() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.append(history(200)).await;
    let mut reader = opened.log.get_log_reader().await;
    for (start, end) in [(1, 2), (2, 66), (66, 131), (131, 201)] {
        let entries = reader.entries_stream(start..end).await.map_ok(|entry| (entry, None));
        opened.machine.apply(entries).await.unwrap();
        assert_eq!(opened.machine.view().index(), end - 1);
    }
    let mut ended = reader.entries_stream(200..=200).await;
    assert!(ended.next().await.is_some());
    assert!(ended.next().await.is_none() && ended.next().await.is_none(), "it may be asked again");
}

#[tokio::test]
async fn o12_an_installed_snapshot_is_the_current_one_and_survives() {
    let (leader, follower) = (Directory::new(), Directory::new());
    let mut from = leader.open().await;
    from.commit(history(20)).await;
    let snapshot = from.snapshot().await;
    let mut to = follower.open().await;
    to.commit(history(4)).await;
    let received = to.receive(&snapshot).await.unwrap();
    to.machine.install_snapshot(&snapshot.manifest().meta(), received).await.unwrap();
    for _ in 0..2 {
        let current = to.machine.get_current_snapshot().await.unwrap().unwrap();
        assert_eq!(current.meta, snapshot.manifest().meta());
        assert_eq!(to.machine.applied_state().await.unwrap().0, Some(log_id(1, 20)));
        assert_eq!(to.machine.view().state().checksum(), from.machine.view().state().checksum());
        drop((to, current));
        to = follower.open().await;
    }
}

#[tokio::test]
async fn o13_nothing_is_purged_that_no_durable_snapshot_holds() {
    let directory = Directory::new();
    let mut opened = directory.open().await;
    opened.commit(history(10)).await;
    assert!(opened.log.purge(log_id(1, 1)).await.is_err(), "there is no snapshot yet");
    opened.snapshot().await;
    opened.commit(vec![put(1, 11)]).await;
    assert!(opened.log.purge(log_id(1, 11)).await.is_err(), "the snapshot ends at 10");
    opened.log.purge(log_id(1, 10)).await.unwrap();
    assert_eq!(opened.log_ids().await, [log_id(1, 11)]);
}

#[tokio::test]
async fn o14_a_directory_is_not_opened_for_another_node() {
    use capstan_model::ids::{DiskId, NodeId};
    let directory = Directory::new();
    let first = directory.open().await.store.identity().get();
    assert_eq!((first.node, first.boot), (NODE, 1));
    let opening = crate::storage::Opening {
        node: NodeId(2),
        new_disk: DiskId(2),
        fatal: std::sync::Arc::new(super::harness::Reasons::default()),
    };
    let refused = crate::storage::open(directory.disk(), opening).await;
    assert!(matches!(refused.err(), Some(OpenError::OtherNode { found: NODE, wanted: NodeId(2) })));
    let second = directory.open().await.store.identity().get();
    assert_eq!((second.disk, second.boot), (first.disk, 2), "a refusal is no life");
}
