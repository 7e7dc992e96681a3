//! The answers of a node that go on: how many there may be, and how long.

use std::{sync::Arc, time::Duration};

use capstan_model::auth::{Author, Operation};
use capstan_raft_store::handle::{ClusterHandle, View};
use metrics::{Gauge, gauge};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::Instant,
};

use crate::{answer::BrokenOff, auth::permission, call::Head, error::InputError, ports::NodeHealth};

/// After how long without news a stream sends a heartbeat; less than half of the time that a connection may stand still.
pub const HEARTBEAT_AFTER: Duration = Duration::from_secs(10);
/// How many streams a node serves at a time: less than half of its connections.
const STREAMS_MAX: usize = 4_096;

/// All streams of a node.
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    over: watch::Sender<bool>,
    heartbeat_after: Duration,
    open: Gauge,
}

/// A stream's place among those of its node, and what tells it to end.
pub(crate) struct Open {
    cluster: ClusterHandle,
    health: Arc<dyn NodeHealth>,
    over: watch::Receiver<bool>,
    heartbeat_after: Duration,
    /// Who follows it.
    author: Author,
    _counted: Counted,
    _place: OwnedSemaphorePermit,
}

/// One of those that are open, until it is dropped.
struct Counted(Gauge);

impl Counted {
    fn new(open: &Gauge) -> Self {
        open.increment(1);
        Self(open.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

impl Streams {
    pub(crate) fn new(heartbeat_after: Duration) -> Self {
        let open = gauge!("capstan_http_streams_open");
        open.set(0);
        let places = Arc::new(Semaphore::new(STREAMS_MAX));
        Self { places, over: watch::Sender::new(false), heartbeat_after, open }
    }

    /// Breaks every stream off, also those that begin later.
    pub(crate) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`InputError::TooManyStreams`] when all are taken.
    pub(crate) fn open(
        &self,
        cluster: &ClusterHandle,
        health: &Arc<dyn NodeHealth>,
        head: &Head<'_>,
    ) -> Result<Open, InputError> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| InputError::TooManyStreams { streams_max: STREAMS_MAX })?;
        let (cluster, health) = (cluster.clone(), Arc::clone(health));
        let heartbeat_after = self.heartbeat_after;
        let counted = Counted::new(&self.open);
        let author = head.by.map_or_else(Author::anonymous, |by| by.author(None));
        Ok(Open {
            cluster,
            health,
            over: self.over.subscribe(),
            heartbeat_after,
            author,
            _counted: counted,
            _place: place,
        })
    }
}

impl Open {
    /// The replicated state.
    pub(crate) fn cluster(&self) -> &ClusterHandle {
        &self.cluster
    }

    /// When a heartbeat is due for whoever has just sent something.
    pub(crate) fn next_heartbeat(&self) -> Instant {
        Instant::now() + self.heartbeat_after
    }

    /// Whether a stream that has no end may begin.
    ///
    /// # Errors
    /// [`InputError::StreamsEnd`], [`InputError::OutOfTouch`] and [`InputError::Denied`] where it would be broken off at once.
    pub(crate) fn may_begin(&self) -> Result<(), InputError> {
        self.goes_on(&self.cluster.view()).map_err(|broken| match broken {
            BrokenOff::OutOfTouch => InputError::OutOfTouch,
            BrokenOff::Denied(denied) => denied.into(),
            _ => InputError::StreamsEnd,
        })
    }

    /// Whether the stream goes on, as far as this view knows. A node that is drained sends its readers to others, and so does one that is
    /// cut off: they would take its heartbeats for a sign that nothing happens.
    ///
    /// # Errors
    /// [`BrokenOff::NodeEnds`], [`BrokenOff::OutOfTouch`], and [`BrokenOff::Denied`] to somebody who may not follow it any more.
    pub(crate) fn goes_on(&self, view: &View) -> Result<(), BrokenOff> {
        permission::may_go_on(view.state(), &self.author, Operation::Read)?;
        let record = view.state().nodes.get(&self.cluster.node_id());
        let is_over = *self.over.borrow()
            || self.health.draining()
            || record.is_some_and(|record| record.draining || record.leaving);
        if is_over {
            return Err(BrokenOff::NodeEnds);
        }
        if self.cluster.is_acknowledged() { Ok(()) } else { Err(BrokenOff::OutOfTouch) }
    }

    /// Whether an answer about requests, which ends by itself, may go on: until the node stops, or its reader is nobody any more.
    ///
    /// # Errors
    /// [`BrokenOff::NodeEnds`] and [`BrokenOff::Denied`].
    pub(crate) fn is_not_over(&self) -> Result<(), BrokenOff> {
        permission::may_go_on(self.cluster.view().state(), &self.author, Operation::ReadRequests)?;
        if *self.over.borrow() { Err(BrokenOff::NodeEnds) } else { Ok(()) }
    }

    /// Waits until streams are told to end. That a node is drained is seen in State.
    pub(crate) async fn told_to_end(&mut self) {
        // Without the sender there is no node any more.
        let _ = self.over.wait_for(|over| *over).await;
    }
}
