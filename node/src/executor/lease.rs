//! Tells the executor how long the node's jobs may run.

use std::{sync::Arc, time::Duration};

use capstan_model::buggify;
use tokio::sync::watch;

use super::{BootTime, Executor};

/// How late a lease is that is late, in simulations.
const LATE: Duration = Duration::from_millis(20);

/// Passes every new end of the lease on, until the store is gone. `lease` counts on CLOCK_BOOTTIME.
///
/// Leases are switched on by the call itself: a node that was heard and never heard back must not run anything.
pub fn follow(
    mut lease: watch::Receiver<Option<Duration>>,
    executor: Arc<dyn Executor>,
) -> impl Future<Output = ()> {
    if !capstan_model::mutant!("lease-unlimited-at-start") {
        executor.renew_lease(BootTime(0));
    }
    async move {
        loop {
            let until = *lease.borrow_and_update();
            if buggify!("buggify: a lease reaches the executor late") {
                tokio::time::sleep(LATE).await;
            }
            if let Some(until) = until {
                executor.renew_lease(BootTime(0).after(until));
            }
            if lease.changed().await.is_err() {
                return;
            }
        }
    }
}
