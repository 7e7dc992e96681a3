//! The one thread on which all actors of a node live.

use std::{io, thread};

use tokio::{runtime::Handle, sync::oneshot, task::LocalSet};
use tokio_util::sync::CancellationToken;

use crate::actors::{self, Tools};

/// The actors' thread, seen from outside. Actors end when this is dropped.
pub(super) struct ActorThread {
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl ActorThread {
    /// Starts the thread and the actors on it. Called on the node's runtime, whose timers and sockets they use.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(tools: Tools) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let (ends, ended) = oneshot::channel();
        let (runtime, stopped) = (Handle::current(), stop.clone());
        thread::Builder::new().name("actors".to_owned()).spawn(move || {
            // Dropped at the end, also when an actor panics: that is how the end is seen.
            let _ends = ends;
            let set = LocalSet::new();
            runtime.block_on(set.run_until(stopped.run_until_cancelled(actors::run(tools))));
        })?;
        Ok(Self { stop, ended })
    }

    /// Waits until the actors have ended.
    pub(super) async fn ended(&mut self) {
        // Nothing is ever sent; the other end is dropped.
        let _ = (&mut self.ended).await;
    }

    /// Ends all actors and waits for it.
    pub(super) async fn stop(mut self) {
        self.stop.cancel();
        self.ended().await;
    }
}

impl Drop for ActorThread {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
