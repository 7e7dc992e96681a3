//! The newest applied state of this node, and everybody who waits for it.

use std::{
    sync::{
        Arc, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use capstan_model::{buggify, failpoint, rejection::Rejection, sometimes};
use tokio::sync::watch;

use crate::{
    handle::{ReadError, View},
    hints::{Hints, RequestHints, Touched},
    machine::{AppliedSink, Happened},
    outbox::Outbox,
};

/// How much too late a reader wakes up, in simulations.
const WOKEN_LATE: Duration = Duration::from_millis(10);

/// Holds the published view; written by apply only, after the rows of a batch.
pub(crate) struct Publisher {
    view: RwLock<View>,
    index: watch::Sender<u64>,
    requests: Hints,
    outbox: Arc<Outbox>,
    bugs: AtomicU64,
}

impl Publisher {
    pub(crate) fn new(view: View, outbox: Arc<Outbox>) -> Self {
        let index = watch::Sender::new(view.index());
        Self { view: RwLock::new(view), index, requests: Hints::new(), outbox, bugs: AtomicU64::new(0) }
    }

    pub(crate) fn view(&self) -> View {
        self.view.read().expect("no holder of this lock panics").clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.index.subscribe()
    }

    pub(crate) fn hints(&self) -> RequestHints {
        self.requests.subscribe()
    }

    /// Waits until `index` is published.
    pub(crate) async fn reach(&self, index: u64, patience: Duration) -> Result<View, ReadError> {
        let view = self.view();
        if view.index() >= index {
            return Ok(view);
        }
        let mut published = self.index.subscribe();
        let reached = async { published.wait_for(|at| *at >= index).await.map(drop) };
        let reached = tokio::time::timeout(patience, reached).await;
        if buggify!("buggify: a reader wakes up late") {
            tokio::time::sleep(WOKEN_LATE).await;
        }
        match reached {
            Ok(Ok(())) => Ok(self.view()),
            Ok(Err(_closed)) => Err(ReadError::ShuttingDown),
            Err(_elapsed) => {
                sometimes!("a read does not reach its index");
                Err(ReadError::NotReached { index, applied: self.view().index() })
            }
        }
    }

    /// How many commands have panicked in apply since this node started.
    pub(crate) fn bugs(&self) -> u64 {
        self.bugs.load(Ordering::Relaxed)
    }

    fn publish(&self, view: View) {
        let index = view.index();
        // The last view of a replaced database closes it and removes its files: not while readers wait for the lock.
        let old = std::mem::replace(&mut *self.view.write().expect("no holder of this lock panics"), view);
        drop(old);
        self.index.send_replace(index);
    }
}

impl AppliedSink for Publisher {
    fn applied(&self, view: View, happened: Happened) {
        let Happened { replies, requests, owner_changed } = happened;
        for (id, reply) in &replies {
            if let Err(Rejection::Bug { message }) = reply {
                tracing::error!(%id, message, "a command panicked in apply and was contained");
                self.bugs.fetch_add(1, Ordering::Relaxed);
            }
        }
        let index = view.index();
        self.publish(view);
        failpoint!("publish: nobody told");
        self.outbox.applied(index, replies);
        if owner_changed {
            self.requests.tell(Touched::All);
        } else if !requests.is_empty() {
            self.requests.tell(Touched::Some(requests));
        }
    }

    fn installed(&self, view: View) {
        self.publish(view.clone());
        self.outbox.installed(view.state());
        self.requests.tell(Touched::All);
    }
}
