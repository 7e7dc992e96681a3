//! The tasks that live as long as their node does.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
};

use futures::FutureExt;

use crate::{
    ports::FatalSink,
    runtime::{self, JoinHandle},
};

/// Starts a node's tasks, stops the node when one of them panics, and ends them with it.
pub(crate) struct Tasks {
    fatal: Arc<dyn FatalSink>,
    started: Mutex<Vec<JoinHandle<()>>>,
}

impl Tasks {
    pub(crate) fn new(fatal: Arc<dyn FatalSink>) -> Self {
        Self { fatal, started: Mutex::default() }
    }

    /// Starts a task that the node cannot do without. The runtime would swallow its panic and leave a node that looks alive.
    pub(crate) fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let fatal = Arc::clone(&self.fatal);
        let started = runtime::spawn(async move {
            if AssertUnwindSafe(task).catch_unwind().await.is_err() {
                fatal.fatal(&format!("bug: the task `{name}` panicked"));
            }
        });
        self.started.lock().expect("no holder of this lock panics").push(started);
    }

    /// Ends all of them, wherever they are waiting.
    pub(crate) fn end(&self) {
        for task in self.started.lock().expect("no holder of this lock panics").drain(..) {
            task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Said(Mutex<Vec<String>>);

    impl FatalSink for Said {
        fn fatal(&self, reason: &str) {
            self.0.lock().unwrap().push(reason.to_owned());
        }
    }

    #[tokio::test]
    async fn a_task_that_panics_stops_the_node_and_one_that_ends_does_not() {
        let said = Arc::new(Said::default());
        let tasks = Tasks::new(Arc::clone(&said) as Arc<dyn FatalSink>);
        tasks.spawn("quiet", async {});
        tasks.spawn("waiting", std::future::pending());
        tasks.spawn("loud", async { panic!("on purpose") });
        let [quiet, waiting, loud] =
            tasks.started.lock().unwrap().drain(..).collect::<Vec<_>>().try_into().unwrap();
        quiet.await.unwrap();
        loud.await.unwrap();
        tasks.started.lock().unwrap().push(waiting);
        tasks.end();
        assert!(tasks.started.lock().unwrap().is_empty());
        assert_eq!(*said.0.lock().unwrap(), ["bug: the task `loud` panicked"]);
    }
}
