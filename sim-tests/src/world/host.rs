//! Polls the task set of one life of a node, as the node's processor would.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Poll, Waker},
    time::Duration,
};

use capstan_raft_store::runtime;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{task::LocalSet, time::Sleep};

use crate::net::Place;

/// One life's tasks.
pub(super) struct Host {
    node: Place,
    tasks: RefCell<Option<LocalSet>>,
    is_paused: Cell<bool>,
    /// How late what it does comes at the most.
    late_max: Cell<Duration>,
    rng: RefCell<SmallRng>,
    waker: RefCell<Option<Waker>>,
}

impl Host {
    /// Tasks of a node; how slow it is when it is follows from the seed.
    pub(super) fn new(node: Place, tasks: LocalSet, seed: u64) -> Self {
        Self {
            node,
            tasks: RefCell::new(Some(tasks)),
            is_paused: Cell::new(false),
            late_max: Cell::default(),
            rng: RefCell::new(SmallRng::seed_from_u64(seed)),
            waker: RefCell::default(),
        }
    }

    /// Runs the tasks until they are buried. One that `lives` no longer is not polled again.
    pub(super) async fn run(self: Rc<Self>, lives: impl Fn() -> bool) {
        let mut lateness = None;
        poll_fn(|context| {
            self.waker.replace(Some(context.waker().clone()));
            let mut tasks = self.tasks.borrow_mut();
            let Some(tasks) = tasks.as_mut() else { return Poll::Ready(()) };
            if let Some(late) = self.lateness(&mut lateness)
                && late.as_mut().poll(context).is_pending()
            {
                return Poll::Pending;
            }
            lateness = None;
            if !self.is_paused.get() && lives() {
                let _entered = runtime::enter(self.node);
                // A set without tasks waits for more.
                let _: Poll<()> = Pin::new(tasks).poll(context);
            }
            Poll::Pending
        })
        .await;
    }

    /// What the node still waits for before it does something.
    fn lateness<'a>(&self, waiting: &'a mut Option<Pin<Box<Sleep>>>) -> Option<&'a mut Pin<Box<Sleep>>> {
        let late_max = self.late_max.get();
        if waiting.is_none() && !late_max.is_zero() {
            let late = self.rng.borrow_mut().random_range(Duration::ZERO..=late_max);
            *waiting = Some(Box::pin(tokio::time::sleep(late)));
        }
        waiting.as_mut()
    }

    /// Lets all it does come late, by up to so much at a time; zero ends it.
    pub(super) fn set_slowness(&self, late_max: Duration) {
        self.late_max.set(late_max);
        self.wake();
    }

    pub(super) fn set_paused(&self, is_paused: bool) {
        self.is_paused.set(is_paused);
        self.wake();
    }

    /// Drops every task, in the node's name.
    pub(super) fn bury(&self) {
        let tasks = self.tasks.borrow_mut().take();
        let _entered = runtime::enter(self.node);
        drop(tasks);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}
