//! Why a node stops.

use std::{
    io::{self, Read},
    thread,
};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::{broadcast, oneshot},
};

use super::Supervision;
use crate::executor::ExecEvent;

/// Everything that asks a node to stop.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// Dropped when the supervisor is gone; `None` without one.
    supervisor: Option<oneshot::Receiver<()>>,
}

impl Stop {
    /// Listens from now on. Called on the node's runtime.
    ///
    /// # Errors
    /// The signals cannot be caught, or there is no thread to watch standard input.
    pub fn listen(supervision: Supervision) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            supervisor: match supervision {
                Supervision::None => None,
                Supervision::Stdin => Some(watch_stdin()?),
            },
        })
    }

    /// Waits until the node is asked to stop, and says by whom. Called again, it waits for the next time.
    pub async fn requested(&mut self) -> &'static str {
        let supervisor_gone = async {
            match &mut self.supervisor {
                Some(supervisor) => drop(supervisor.await),
                None => std::future::pending().await,
            }
            self.supervisor = None;
        };
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            () = supervisor_gone => "the supervisor is gone",
        }
    }
}

/// Reads standard input until it ends. On a thread of its own, since tokio's would hold up the runtime's end.
fn watch_stdin() -> io::Result<oneshot::Receiver<()>> {
    let (ends, ended) = oneshot::channel();
    thread::Builder::new().name("supervisor".to_owned()).spawn(move || {
        let _ends: oneshot::Sender<()> = ends;
        let mut buffer = [0; 64];
        let mut stdin = io::stdin();
        while matches!(stdin.read(&mut buffer), Ok(1..)) {}
    })?;
    Ok(ended)
}

/// Waits until the guardian is gone.
pub(super) async fn guardian_gone(mut events: broadcast::Receiver<ExecEvent>) {
    use broadcast::error::RecvError;
    loop {
        match events.recv().await {
            Ok(ExecEvent::Gone) | Err(RecvError::Closed) => return,
            Ok(ExecEvent::Ended { .. }) | Err(RecvError::Lagged(_)) => {}
        }
    }
}
