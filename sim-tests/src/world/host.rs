//! Polls the task set of one life of a node, as the node's processor would.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::Pin,
    rc::Rc,
    task::{Poll, Waker},
};

use capstan_raft_store::runtime;
use tokio::task::LocalSet;

use crate::net::Place;

/// One life's tasks.
pub(super) struct Host {
    node: Place,
    tasks: RefCell<Option<LocalSet>>,
    is_paused: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Host {
    pub(super) fn new(node: Place, tasks: LocalSet) -> Self {
        Self {
            node,
            tasks: RefCell::new(Some(tasks)),
            is_paused: Cell::new(false),
            waker: RefCell::default(),
        }
    }

    /// Runs the tasks until they are buried. One that `lives` no longer is not polled again.
    pub(super) async fn run(self: Rc<Self>, lives: impl Fn() -> bool) {
        poll_fn(|context| {
            self.waker.replace(Some(context.waker().clone()));
            let mut tasks = self.tasks.borrow_mut();
            let Some(tasks) = tasks.as_mut() else { return Poll::Ready(()) };
            if !self.is_paused.get() && lives() {
                let _entered = runtime::enter(self.node);
                // A set without tasks waits for more.
                let _: Poll<()> = Pin::new(tasks).poll(context);
            }
            Poll::Pending
        })
        .await;
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
