//! One instance, from its first process to its last.

use std::sync::Arc;

use capstan_model::lrp::definition::Definition;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    driver::{Driver, OpenError, Stream},
    monitor::Monitor,
    steps::{Ended, Failure, Scope, perform},
};

/// The longest crash reason, in bytes; what is beyond is cut off.
pub const REASON_BYTES_MAX: usize = 1024;
/// The source of output that names none.
const LOG_SOURCE: &str = "LOG";

/// What is seen of an instance. [`Observation::Running`] comes at most once, and one of the others last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// It is healthy, or nobody watches its health and its action has begun.
    Running,
    /// It ended by itself, or could not begin; nothing of it is left.
    Crashed {
        /// Why; `None` of an action that nobody watches and that ended well.
        reason: Option<String>,
    },
    /// It ended because it was to; nothing of it is left.
    Stopped,
    /// The cell runs nothing now, and began nothing.
    Refused {
        /// Why, for the operator.
        reason: String,
    },
}

/// An instance to run.
pub struct Life {
    /// What it runs.
    pub definition: Arc<Definition>,
    /// What runs it.
    pub driver: Arc<dyn Driver>,
    /// The permits for health checks, shared by the cell: see [`super::monitor::check_permits`].
    pub checks: Arc<Semaphore>,
    /// Cancelled when it is to end.
    pub stop: CancellationToken,
    /// Where what is seen goes. That nobody listens any more changes nothing: the instance ends when it is stopped.
    pub observations: mpsc::UnboundedSender<Observation>,
}

impl Life {
    /// Runs the instance to its end. Whoever drops this early leaves its processes to [`Driver::close`].
    pub async fn live(self) {
        self.say(Stream::Stdout, "Creating container\n");
        let last = match self.driver.open().await {
            Err(OpenError::Refused(reason)) => Observation::Refused { reason },
            Err(OpenError::Failed(reason)) => {
                self.say(Stream::Stderr, "Failed to create container\n");
                self.driver.close().await;
                self.ended(Err(Failure::plain(format!("failed to initialize container: {reason}"))))
            }
            Ok(()) => {
                let ended = self.run().await;
                self.driver.close().await;
                self.ended(ended)
            }
        };
        self.observe(last);
    }

    /// Setup, then action and monitor side by side. Ends well only where nobody watches the action.
    async fn run(&self) -> Ended {
        self.say(Stream::Stdout, "Successfully created container\n");
        let scope = Scope::new(self.source(), self.stop.clone());
        if let Some(setup) = &self.definition.setup {
            perform(&*self.driver, setup, scope.clone()).await?;
        }
        if scope.is_cancelled() {
            return Err(Failure::cancelled());
        }
        match &self.definition.monitor {
            None => {
                self.observe(Observation::Running);
                perform(&*self.driver, &self.definition.action, scope).await
            }
            Some(check) => {
                let start_timeout_secs = self.definition.start_timeout_secs;
                self.run_watched(&Monitor { check, start_timeout_secs, checks: &self.checks }, scope).await
            }
        }
    }

    /// An action that ends well has become a daemon, and the monitor tells about it; whichever of the two fails first
    /// ends the other.
    async fn run_watched(&self, monitor: &Monitor<'_>, scope: Scope) -> Ended {
        let (acting, watching) = (scope.child(), scope.child());
        let mut action = perform(&*self.driver, &self.definition.action, acting.clone());
        let healthy = || self.observe(Observation::Running);
        let mut monitor = Box::pin(monitor.watch(&*self.driver, watching.clone(), healthy));
        let mut failures = Vec::new();
        tokio::select! {
            biased;
            ended = &mut action => {
                if ended.is_err() {
                    watching.cancel();
                }
                failures.extend(ended.err());
                failures.extend(monitor.await.err());
            }
            ended = &mut monitor => {
                acting.cancel();
                failures.extend(ended.err());
                failures.extend(action.await.err());
            }
        }
        Err(Failure::all(&failures))
    }

    /// What an end means. One that was asked for is never a crash, whatever the steps made of it.
    fn ended(&self, ended: Ended) -> Observation {
        if self.stop.is_cancelled() {
            return Observation::Stopped;
        }
        Observation::Crashed { reason: ended.err().map(|failure| bounded(failure.text())) }
    }

    fn observe(&self, observation: Observation) {
        // Nobody may listen any more.
        let _ = self.observations.send(observation);
    }

    fn say(&self, stream: Stream, text: &str) {
        self.driver.say(&self.source(), stream, text);
    }

    fn source(&self) -> Arc<str> {
        source(&self.definition.log_source)
    }
}

/// The name of a source as given, or the one of those that have none.
pub(super) fn source(given: &Arc<str>) -> Arc<str> {
    match &**given {
        "" => LOG_SOURCE.into(),
        _ => Arc::clone(given),
    }
}

/// A reason, cut to [`REASON_BYTES_MAX`].
pub(super) fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(REASON_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests;
