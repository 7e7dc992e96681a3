//! When to take a snapshot: by bytes logged or by time, never by the number of entries.

use std::time::Duration;

use capstan_model::buggify;
use openraft::async_runtime::WatchReceiver as _;

use crate::{storage::Store, timing::Timing, type_config::Raft};

/// How often the two bounds are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks Raft for snapshots for as long as the node lives.
pub(crate) async fn run(raft: Raft, store: Store, timing: Timing) {
    let meter = store.meter();
    // The meter starts with what no snapshot covers, so a restart goes on counting.
    let mut last = Taken { bytes: 0, at: tokio::time::Instant::now() };
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (applied, snapshot) = {
            let metrics = raft.metrics();
            let metrics = metrics.borrow_watched();
            (metrics.last_applied.map(|id| id.index), metrics.snapshot.map(|id| id.index))
        };
        let now = Taken { bytes: meter.bytes_appended(), at: tokio::time::Instant::now() };
        let due = now.bytes - last.bytes >= timing.snapshot_bytes
            || (now.at.duration_since(last.at) >= timing.snapshot_every && now.bytes > last.bytes);
        let due = match due {
            true => !buggify!("buggify: a snapshot is taken late"),
            false => buggify!("buggify: a snapshot is taken early"),
        };
        if !due || applied <= snapshot {
            continue;
        }
        last = now;
        let is_prepared = !buggify!("buggify: a snapshot is not prepared");
        if is_prepared && let Err(error) = store.prepare_snapshot().await {
            tracing::warn!(%error, "the state was not flushed ahead of a snapshot");
        }
        if let Err(error) = raft.trigger().snapshot().await {
            return tracing::debug!(%error, "raft has stopped");
        }
    }
}

struct Taken {
    bytes: u64,
    at: tokio::time::Instant,
}
