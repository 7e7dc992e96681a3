//! Tells the executor how long the node's jobs may run.

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{BootTime, Executor};

/// Passes every new end of the lease on, until the store is gone. `lease` counts on CLOCK_BOOTTIME.
pub async fn follow(mut lease: watch::Receiver<Option<Duration>>, executor: Arc<dyn Executor>) {
    loop {
        let until = *lease.borrow_and_update();
        if let Some(until) = until {
            executor.renew_lease(BootTime(0).after(until));
        }
        if lease.changed().await.is_err() {
            return;
        }
    }
}
