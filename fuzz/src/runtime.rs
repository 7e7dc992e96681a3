//! The runtime of targets that wait: one thread, and time that passes at once when everybody waits.

use std::{cell::RefCell, future::Future};

use capstan_raft_store::runtime;
use tokio::{runtime::Builder, task::LocalSet};

thread_local! {
    static RUNTIME: RefCell<tokio::runtime::Runtime> = RefCell::new(
        Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime of one thread needs nothing of the system"),
    );
}

/// Runs a future to its end, and drops every task it has started.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    RUNTIME.with_borrow_mut(|on| {
        let tasks = LocalSet::new();
        // As in the simulator: tasks go into the set, and work that blocks is done at once.
        let _entered = runtime::enter(1);
        tasks.block_on(on, future)
    })
}
