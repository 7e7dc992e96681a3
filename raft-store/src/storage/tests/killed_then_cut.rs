//! A life is killed before something is durable; the next one builds on what it finds, and then the power fails.

use std::{collections::BTreeSet, sync::Arc};

use openraft::storage::{RaftLogStorage, RaftStateMachine};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::{
    found::{Found, found},
    harness::{entry, history, log_id, open_on},
};
use crate::{
    engine::{testing::TestDisk, volatile::VolatileDisk},
    runtime,
    storage::Opened,
};

/// How many times the power is cut, each time with other steps of the last life undone.
const CUTS: u64 = 20;

/// Opens what a life has left, and cuts the power then; what was found must be found again.
async fn assert_found_again(disk: &VolatileDisk) -> Found {
    let mut next = open_on(Arc::new(disk.clone())).await.unwrap();
    let first = found(&mut next).await;
    // Whoever relies on a snapshot lets go of the log.
    if let Some(snapshot) = first.snapshot {
        next.log.purge(snapshot).await.unwrap();
    }
    for seed in 0..CUTS {
        let mut random = SmallRng::seed_from_u64(seed);
        let left = disk.after_power_cut(&mut |steps| random.random_range(0..=steps));
        let mut opened =
            open_on(Arc::new(left)).await.unwrap_or_else(|error| panic!("cut {seed}: {error:?}"));
        let after = found(&mut opened).await;
        assert_eq!(after.snapshot, first.snapshot, "cut {seed}");
        // What was applied after the snapshot is applied again.
        assert!(after.applied >= after.snapshot, "cut {seed}: {after:?}");
    }
    first
}

/// Kills a life at each change that it makes of its disk while it does something, and looks at what the next ones find.
async fn assert_found_again_after_each(does: impl AsyncFn(&mut Opened)) -> Vec<Found> {
    let mut all = Vec::new();
    loop {
        let disk = VolatileDisk::new();
        let (watched, controls) = TestDisk::new(Arc::new(disk.clone()));
        let mut opened = open_on(watched).await.unwrap();
        opened.commit(history(3)).await;
        controls.stop_after(all.len());
        does(&mut opened).await;
        drop(opened);
        all.push(assert_found_again(&disk).await);
        if !controls.has_stopped() {
            return all;
        }
    }
}

#[tokio::test]
async fn a_snapshot_that_was_found_is_found_again() {
    let _inline = runtime::enter(1);
    let all = assert_found_again_after_each(async |opened| {
        let mut builder = opened.machine.try_create_snapshot_builder(true).await.unwrap();
        // The life ends when it fails.
        let _ = builder.build().await;
    });
    let snapshots: BTreeSet<_> = all.await.into_iter().map(|found| found.snapshot).collect();
    assert_eq!(snapshots, BTreeSet::from([None, Some(log_id(1, 3))]));
}

#[tokio::test]
async fn a_database_that_was_found_is_found_again() {
    let _inline = runtime::enter(1);
    let mut other = open_on(Arc::new(VolatileDisk::new())).await.unwrap();
    other.commit(history(4)).await;
    other.commit(vec![entry(log_id(2, 5))]).await;
    let sent = other.snapshot().await;
    let all = assert_found_again_after_each(async |opened| {
        if let Ok(received) = opened.receive(&sent).await {
            // The life ends when it fails.
            let _ = opened.machine.install_snapshot(&sent.manifest().meta(), received).await;
        }
    });
    let applied: BTreeSet<_> = all.await.into_iter().map(|found| found.applied).collect();
    assert_eq!(applied, BTreeSet::from([Some(log_id(1, 3)), Some(log_id(2, 5))]));
}
