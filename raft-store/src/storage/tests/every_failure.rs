//! Every change and every read that an operation makes of its disk fails once, with EIO.
//!
//! A change fails before it has any effect, or after all of it. Either way it is the last one: the operation says so, the latch falls, and the
//! directory that is opened next, whether or not the power was cut as well, is as it was before the operation or as it is after.

use std::{io, sync::Arc};

use openraft::{
    RaftLogReader,
    storage::{IOFlushed, RaftLogStorage, RaftStateMachine},
    type_config::TypeConfigExt,
};

use super::{
    failures::assert_latched,
    found::{Found, found},
    harness::{Reasons, blank, entry, history, log_id, open_on, open_with, vote},
};
use crate::{
    engine::{
        testing::{Controls, Reach, TestDisk},
        volatile::VolatileDisk,
    },
    runtime,
    snapshot::SnapshotHandle,
    storage::Opened,
    type_config::TypeConfig,
};

/// What is done to a directory whose log ends at 6, whose state is at 5 and whose newest snapshot at 4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    SaveVote,
    Append,
    Truncate,
    Purge,
    Apply,
    Snapshot,
    PrepareSnapshot,
    Install,
    JoinCluster,
    StartLife,
}

const OPERATIONS: [Operation; 10] = [
    Operation::SaveVote,
    Operation::Append,
    Operation::Truncate,
    Operation::Purge,
    Operation::Apply,
    Operation::Snapshot,
    Operation::PrepareSnapshot,
    Operation::Install,
    Operation::JoinCluster,
    Operation::StartLife,
];

/// Everything survives a kill, and a power cut leaves only what was synced.
const SURVIVORS: [fn(usize) -> usize; 2] = [|steps| steps, |_| 0];

async fn template() -> VolatileDisk {
    let disk = VolatileDisk::new();
    let mut opened = open_on(Arc::new(disk.clone())).await.unwrap();
    opened.log.save_vote(&vote(1)).await.unwrap();
    opened.append(history(6)).await;
    opened.apply(history(4)).await;
    opened.snapshot().await;
    opened.apply(vec![entry(log_id(1, 5))]).await;
    drop(opened);
    disk
}

async fn foreign() -> SnapshotHandle {
    let mut opened = open_on(Arc::new(VolatileDisk::new())).await.unwrap();
    opened.commit(history(9)).await;
    opened.snapshot().await
}

async fn perform(operation: Operation, opened: &mut Opened, foreign: &SnapshotHandle) -> io::Result<()> {
    match operation {
        Operation::SaveVote => opened.log.save_vote(&vote(2)).await,
        Operation::Append => {
            let (reported, report) = TypeConfig::oneshot();
            opened.log.append([blank(1, 7), blank(1, 8)], IOFlushed::signal(reported)).await?;
            report.await.unwrap()
        }
        Operation::Truncate => opened.log.truncate_after(Some(log_id(1, 5))).await,
        Operation::Purge => opened.log.purge(log_id(1, 4)).await,
        Operation::Apply => {
            let entries = futures::stream::iter([Ok((entry(log_id(1, 6)), None))]);
            opened.machine.apply(entries).await
        }
        Operation::Snapshot => {
            let mut builder = opened.machine.get_snapshot_builder().await;
            builder.build().await.map(drop)
        }
        Operation::PrepareSnapshot => opened.store.prepare_snapshot().await,
        Operation::Install => {
            let received = opened.receive(foreign).await?;
            opened.machine.install_snapshot(&foreign.manifest().meta(), received).await
        }
        Operation::JoinCluster => {
            let joined = opened.store.identity().set_cluster(capstan_model::ids::ClusterId(7));
            joined.map_err(|error| io::Error::other(format!("{error:?}")))
        }
        Operation::StartLife => opened.store.identity().raise_boot().map(drop),
    }
}

/// A directory that was just opened, under a test's control.
struct Fixture {
    disk: VolatileDisk,
    controls: Controls,
    reasons: Arc<Reasons>,
    opened: Opened,
}

impl Fixture {
    async fn new(template: &VolatileDisk) -> Self {
        let disk = template.after_power_cut(&mut |steps| steps);
        let (watched, controls) = TestDisk::new(Arc::new(disk.clone()));
        let reasons = Arc::new(Reasons::default());
        let opened = open_with(watched, Arc::clone(&reasons)).await.unwrap();
        Self { disk, controls, reasons, opened }
    }

    /// How many changes and reads an operation makes, and what it leaves.
    async fn measure(mut self, operation: Operation, foreign: &SnapshotHandle) -> (usize, usize, Vec<Found>) {
        let (changes, reads) = (self.controls.changes().len(), self.controls.reads().len());
        perform(operation, &mut self.opened, foreign).await.unwrap();
        let (changes, reads) = (self.controls.changes().len() - changes, self.controls.reads().len() - reads);
        (changes, reads, self.found_later().await)
    }

    /// What is found after a kill, and after a power cut.
    async fn found_later(self) -> Vec<Found> {
        let mut all = Vec::new();
        for mut survivors in SURVIVORS {
            let disk = self.disk.after_power_cut(&mut survivors);
            all.push(found(&mut open_on(Arc::new(disk)).await.unwrap()).await);
        }
        all
    }
}

#[tokio::test]
async fn a_change_that_fails_is_the_last() {
    let _inline = runtime::enter(1);
    let (template, foreign) = (template().await, foreign().await);
    let before = Fixture::new(&template).await.found_later().await;
    let mut failed = 0;
    for operation in OPERATIONS {
        let (changes, _, after) = Fixture::new(&template).await.measure(operation, &foreign).await;
        println!("{operation:?}: {changes} changes");
        assert!(changes > 0, "{operation:?} changes nothing");
        for (change, reach) in (0..changes).flat_map(|i| [(i, Reach::Nothing), (i, Reach::Everything)]) {
            let mut fixture = Fixture::new(&template).await;
            let before_all = fixture.controls.changes().len();
            fixture.controls.fail_change(change, reach);
            let result = perform(operation, &mut fixture.opened, &foreign).await;
            let what = fixture.controls.changes().swap_remove(before_all + change);
            fixture.controls.mend();
            let case = format!("{operation:?}, {what:?} failed with {reach:?} on the disk: {result:?}");
            failed += 1;
            if what.starts_with("open ") {
                // Not latched, so that a start can say what was wrong. In an installation openraft stops at the error, and the node
                // with it.
                assert!(result.is_err(), "{case}");
            } else {
                // What only tidies up may fail behind an operation that is done.
                assert!(result.is_err() || !fixture.reasons.all().is_empty(), "nobody was told: {case}");
                assert_latched(&mut fixture.opened, &fixture.reasons).await;
            }
            for found in fixture.found_later().await {
                let is_whole = before.contains(&found) || after.contains(&found);
                assert!(is_whole, "{case}: found {found:?}, neither {before:?} nor {after:?}");
            }
        }
    }
    println!("{failed} failed changes of {} operations", OPERATIONS.len());
    assert!(failed > 50, "only {failed}");
}

#[tokio::test]
async fn a_read_that_fails_is_said_and_can_be_repeated() {
    let _inline = runtime::enter(1);
    let (template, foreign) = (template().await, foreign().await);
    let mut failed = 0;
    for operation in OPERATIONS {
        let (_, reads, after) = Fixture::new(&template).await.measure(operation, &foreign).await;
        println!("{operation:?}: {reads} reads");
        for read in 0..reads {
            let mut fixture = Fixture::new(&template).await;
            fixture.controls.fail_read(read);
            let result = perform(operation, &mut fixture.opened, &foreign).await;
            let what = fixture.controls.reads();
            fixture.controls.mend();
            failed += 1;
            assert!(result.is_err(), "{operation:?}, read {read}: an error was passed over, {what:?}");
            perform(operation, &mut fixture.opened, &foreign).await.unwrap();
            assert_eq!(fixture.found_later().await, after, "{operation:?}, read {read}");
        }
    }
    println!("{failed} failed reads of {} operations", OPERATIONS.len());
    assert!(failed > 10, "only {failed}");
}

#[tokio::test]
async fn an_opening_that_fails_at_any_change_or_read_can_be_repeated() {
    let _inline = runtime::enter(1);
    let template = template().await;
    let opening = Fixture::new(&template).await;
    let (changes, reads) = (opening.controls.changes().len(), opening.controls.reads().len());
    let expected = opening.found_later().await;
    println!("opening: {changes} changes and {reads} reads");
    assert!(changes > 5 && reads > 10);
    let faults = (0..changes)
        .flat_map(|at| [(Some(Reach::Nothing), at), (Some(Reach::Everything), at)])
        .chain((0..reads).map(|at| (None, at)));
    for (reach, at) in faults {
        let disk = template.after_power_cut(&mut |steps| steps);
        let (watched, controls) = TestDisk::new(Arc::new(disk.clone()));
        match reach {
            Some(reach) => controls.fail_change(at, reach),
            None => controls.fail_read(at),
        }
        assert!(open_on(watched).await.is_err(), "{reach:?} of {at}: it was opened");
        for (mut survivors, expected) in SURVIVORS.into_iter().zip(&expected) {
            let mut opened = open_on(Arc::new(disk.after_power_cut(&mut survivors))).await.unwrap();
            assert_eq!(&found(&mut opened).await, expected, "{reach:?} of {at}");
        }
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_read_is_not_an_empty_one() {
    let _inline = runtime::enter(1);
    let disk = VolatileDisk::new();
    let (watched, controls) = TestDisk::new(Arc::new(disk));
    let mut opened = open_on(watched).await.unwrap();
    // More than is kept in memory, so that the front has to be read.
    let large = 30 << 20;
    opened.append((0..4).map(|index| super::harness::bulk(1, index, large)).collect()).await;
    controls.fail_read(0);
    assert!(opened.log.try_get_log_entries(0..4).await.is_err());
    controls.fail_read(0);
    assert!(opened.log.limited_get_log_entries(0, 4).await.is_err());
    controls.mend();
    assert_eq!(opened.log.try_get_log_entries(0..4).await.unwrap().len(), 4);
}
