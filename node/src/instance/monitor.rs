//! Tells whether an instance is healthy, again and again.

use std::{sync::Arc, time::Duration};

use capstan_model::lrp::action::Action;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

use super::{
    driver::{Driver, Stream},
    go_duration,
    steps::{Ended, Failure, Scope, perform, scope::Held},
};

/// How long after a result the next check begins while the instance is not yet healthy.
pub const UNHEALTHY_INTERVAL: Duration = Duration::from_millis(500);
/// The same once it is healthy.
pub const HEALTHY_INTERVAL: Duration = Duration::from_secs(30);
/// The most checks of one cell that run at once.
pub const CHECKS_MAX: usize = 64;

/// How the health of one instance is watched.
#[derive(Debug)]
pub struct Monitor<'a> {
    /// Healthy is when this succeeds.
    pub check: &'a Action,
    /// How long it may take until it does, in seconds; zero is for ever.
    pub start_timeout_secs: u32,
    /// Shared by all instances of the cell, with [`CHECKS_MAX`] permits.
    pub checks: &'a Semaphore,
}

impl Monitor<'_> {
    /// Watches until the instance is unhealthy, has not become healthy in time, or `scope` is cancelled; calls `healthy`
    /// once, at the first success. Never succeeds. What a check writes is shown only when it decides.
    pub async fn watch(&self, driver: &dyn Driver, scope: Scope, healthy: impl FnOnce()) -> Ended {
        let start_wait = Duration::from_secs(self.start_timeout_secs.into());
        let mut start_by = (!start_wait.is_zero()).then(|| Instant::now() + start_wait);
        let mut healthy = Some(healthy);
        scope.say(driver, Stream::Stdout, "Starting health monitoring of container\n");
        loop {
            let interval = if healthy.is_some() { UNHEALTHY_INTERVAL } else { HEALTHY_INTERVAL };
            tokio::select! {
                biased;
                () = scope.cancelled() => return Err(Failure::cancelled()),
                () = sleep(interval) => {}
            }
            let begun = Instant::now();
            let held = Held::default();
            match (self.check(driver, scope.clone().holding(held.clone())).await, healthy.take()) {
                _ if scope.is_cancelled() => return Err(Failure::cancelled()),
                (Ok(()), None) => {}
                (Ok(()), Some(announce)) => {
                    start_by = None;
                    announce();
                    scope.say(driver, Stream::Stdout, "Container became healthy\n");
                }
                (Err(failure), None) => {
                    show(driver, &scope, &held);
                    scope.say(driver, Stream::Stdout, "Container became unhealthy\n");
                    return Err(failure);
                }
                (Err(failure), Some(_)) if start_by.is_some_and(|by| begun >= by) => {
                    show(driver, &scope, &held);
                    let waited = go_duration::format(i64::from(self.start_timeout_secs) * 1_000_000_000);
                    let text = format!("Timed out after {waited}: health check never passed.\n");
                    scope.say(driver, Stream::Stderr, &text);
                    return Err(failure);
                }
                (Err(_), still) => healthy = still,
            }
        }
    }

    async fn check(&self, driver: &dyn Driver, scope: Scope) -> Ended {
        let _permit = tokio::select! {
            biased;
            () = scope.cancelled() => return Err(Failure::cancelled()),
            permit = self.checks.acquire() => permit.expect("the semaphore is never closed"),
        };
        perform(driver, self.check, scope).await
    }
}

fn show(driver: &dyn Driver, scope: &Scope, held: &Held) {
    scope.say(driver, Stream::Stderr, &format!("{}\n", held.text()));
}

/// The permits for the checks of one cell.
pub fn check_permits() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(CHECKS_MAX))
}
