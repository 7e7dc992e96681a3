//! What a node watches about itself: the room on its disk, its clock, and whether Raft lives.

use std::{sync::Arc, time::Duration};

use openraft::{async_runtime::WatchReceiver as _, errors::Fatal};

use crate::{cluster::Shared, ports::FatalSink};

/// How often disk and clock are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Refuses clients and hands leadership away while the disk is nearly full.
pub(crate) async fn watch_disk(shared: Arc<Shared>) {
    loop {
        match shared.store.space() {
            Ok(space) => {
                let nearly_full = space.is_low();
                if nearly_full != shared.sequencer.disk_nearly_full() {
                    capstan_model::sometimes!("disk has room again", !nearly_full);
                    tracing::warn!(nearly_full, ?space, "free disk space crossed the reserve");
                }
                shared.sequencer.set_disk_nearly_full(nearly_full);
                if nearly_full {
                    shared.hand_over("this node's disk is nearly full").await;
                }
            }
            Err(error) => tracing::warn!(%error, "free disk space is unknown"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Hands leadership away while this node's clock is not sane.
pub(crate) async fn watch_clock(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !shared.heartbeats.clock_sane() {
            shared.hand_over("this node's clock is far from the median").await;
        }
    }
}

/// Stops the node when Raft has died.
pub(crate) async fn watch_raft(shared: Arc<Shared>, fatal: Arc<dyn FatalSink>) {
    // Raft says how it ends in its metrics and then drops their senders. These change with its role only, where all of them change
    // with every write.
    let mut server = shared.raft.server_metrics();
    while server.changed().await.is_ok() {}
    let died = shared.raft.metrics().borrow_watched().running_state.as_ref().err().cloned();
    match died {
        Some(Fatal::Stopped) => {}
        Some(error) => fatal.fatal(&format!("raft has stopped: {error}")),
        None if shared.outbox.is_closed() => {}
        None => fatal.fatal("raft has stopped without being told to"),
    }
}
