//! How a panic in one actor is noticed: the runtime swallows it, and would leave a node that looks alive and runs no jobs.

use std::{sync::Arc, thread};

use tokio::sync::Notify;

/// Rings when a panic drops it. Whatever acts for the node holds one, so that nothing of it dies unnoticed; a future moves it into itself by name,
/// for of a [`super::Tools`] it would take only the parts that it uses.
#[derive(Debug, Clone, Default)]
pub struct Alarm(Arc<Notify>);

impl Alarm {
    /// Waits until it rings; at once, if it has.
    pub(super) async fn rings(&self) {
        self.0.notified().await;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn a_panic_of_whoever_holds_it_rings() {
        let alarm = Alarm::default();
        let (quiet, held) = (alarm.clone(), alarm.clone());
        let set = LocalSet::new();
        set.spawn_local(async move { drop(quiet) });
        set.spawn_local(async move {
            let _held = held;
            panic!("on purpose");
        });
        set.run_until(alarm.rings()).await;
    }
}
