//! Runs processes: the seam between the actors and what really starts them.
//!
//! [`Executor`] is what the actors see. [`host::HostExecutor`] asks the node's guardian; the simulator brings a model
//! of processes that outlive a crash of their node. What was started is known by the register behind it, not by
//! whoever asked: a lost event or a restarted actor looks at [`Executor::register`] and misses nothing.

pub mod host;
pub mod instances;
pub mod lease;
pub mod outcome;
pub mod result_file;

use std::{sync::Arc, time::Duration};

use capstan_model::ids::Incarnation;
use futures::future::BoxFuture;
use tokio::sync::broadcast;

pub use self::outcome::Outcome;
pub use crate::guardian::{
    BootTime, ProcessKey, TryKey,
    protocol::{Limits, StartSpec},
};

/// Starts, stops and remembers processes. All of it is safe to repeat.
pub trait Executor: Send + Sync {
    /// Begins an incarnation: whatever an earlier one started is dead, and its register gone, when this returns.
    /// Nothing can be started before.
    fn begin(&self, incarnation: Incarnation) -> BoxFuture<'static, Result<(), ExecutorGone>>;

    /// Starts a process unless its key was ever registered in this incarnation. That the program is missing or not
    /// executable is told by its outcome, not here.
    fn start(&self, spec: StartSpec) -> BoxFuture<'static, Result<Started, StartRefused>>;

    /// Asks a process to stop: SIGTERM now, SIGKILL after `grace`. Its end comes as an event like any other; an
    /// unknown or ended key changes nothing.
    fn stop(&self, key: ProcessKey, grace: Duration);

    /// Acknowledges an end: the outcome is dropped, and only that the key was used is remembered. Called once the
    /// outcome is committed, or refused as stale; ignored while the process runs.
    fn forget(&self, key: ProcessKey);

    /// Every registered try with where it stands, in order of the key.
    fn register(&self) -> BoxFuture<'static, Result<Vec<Registered>, ExecutorGone>>;

    /// The last line a running process wrote to its status file, cut to [`result_file::STATUS_CHARS_MAX`]
    /// characters; `None` when it wrote none.
    fn status(&self, key: ProcessKey) -> BoxFuture<'static, Option<String>>;

    /// Runs a process for its answer, outside the register: it is killed at the deadline, and nobody has to forget
    /// it. The key in `spec` is replaced by one of its own.
    fn call(
        &self,
        spec: StartSpec,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Arc<Outcome>, StartRefused>>;

    /// Lets processes run until then; the first call switches leases on, and an earlier moment than known is
    /// ignored. When a lease ends every process is killed.
    fn renew_lease(&self, until: BootTime);

    /// What happens from now on. A receiver that falls behind is told so by its channel, and looks at the register.
    fn events(&self) -> broadcast::Receiver<ExecEvent>;
}

/// Something that happened; a hint to look, which carries what will be seen.
#[derive(Debug, Clone)]
pub enum ExecEvent {
    /// A try has ended and nothing of it is left.
    Ended {
        /// Which.
        key: ProcessKey,
        /// How.
        outcome: Arc<Outcome>,
    },
    /// The executor is gone and everything it ran with it: the node exits with 70.
    Gone,
}

/// The answer to a start.
#[derive(Debug, Clone)]
pub enum Started {
    /// It was started now.
    Now,
    /// It was started before, and stands like this.
    Before(Standing),
}

/// One registered try.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Which.
    pub key: ProcessKey,
    /// Where it stands.
    pub standing: Standing,
}

/// Where a registered process stands.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It runs.
    Running,
    /// It has ended, and the outcome is not yet acknowledged.
    Ended(Arc<Outcome>),
}

/// Why nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartRefused {
    /// It ran in this incarnation and its outcome was acknowledged.
    #[error("{key} has already ended and was acknowledged")]
    Settled {
        /// Which.
        key: ProcessKey,
    },
    /// No incarnation has begun, or it has just ended.
    #[error("no incarnation of this node has begun")]
    NotBegun,
    /// The node may not run anything until its lease is renewed.
    #[error("the lease of this node is over")]
    LeaseOver,
    /// Something of an earlier life of this node still runs.
    #[error("processes of an earlier life of this node are still alive")]
    LeftoversAlive,
    /// Program, arguments, environment and input are too much for one message.
    #[error("a process description of {bytes} bytes; the most is {bytes_max}")]
    TooLarge {
        /// Its encoded size.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The executor is gone.
    #[error(transparent)]
    Gone(#[from] ExecutorGone),
}

/// The process that runs the others is gone; the node cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the guardian is gone")]
pub struct ExecutorGone;
