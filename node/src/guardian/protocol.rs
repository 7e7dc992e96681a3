//! What a node and its guardian say to each other.
//!
//! Both ends are the same program, usually the same file; the version byte of every frame guards the case where
//! they are not. The socket is ordered and reliable, so each end of a process is reported exactly once.

use std::time::Duration;

use capstan_model::{ids::Incarnation, lrp::isolation::Unlimited, time::Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    clock::BootTime,
    instance_spec::{InstanceEnd, InstanceId, InstanceProcess, InstanceSignal, InstanceSpec, Said},
    key::ProcessKey,
    output::Captured,
};

/// The version byte of every frame.
pub const PROTOCOL_VERSION: u8 = 3;

/// Matches an answer to its question; drawn by the node, never twice on one socket.
pub type QuestionId = u64;

/// From the node. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuardian {
    /// Begins an incarnation: everything of an earlier one is killed and its register dropped, then
    /// [`ToNode::Begun`] answers. Nothing can be started before.
    Begin {
        /// Names the answer.
        id: QuestionId,
        /// The life that begins.
        incarnation: Incarnation,
    },
    /// Starts a process unless its key is registered; [`ToNode::Start`] answers.
    Start {
        /// Names the answer.
        id: QuestionId,
        /// What to start.
        spec: StartSpec,
    },
    /// Asks a process to stop: SIGTERM to its group now, SIGKILL after `grace`. Repeating it never lengthens the
    /// grace; an unknown or ended key changes nothing.
    Stop {
        /// Which.
        key: ProcessKey,
        /// How long it may take.
        grace: Duration,
    },
    /// Acknowledges the end of a process: its output is dropped and a tombstone kept. Ignored while it runs.
    Forget {
        /// Which.
        key: ProcessKey,
    },
    /// Asks for the register; [`ToNode::Register`] answers.
    List {
        /// Names the answer.
        id: QuestionId,
    },
    /// Processes may run until then. The first one switches leases on; an earlier moment than known is ignored.
    ValidUntil(BootTime),
    /// Starts a process of an instance, unless its number was used; [`ToNode::Start`] answers.
    StartInInstance {
        /// Names the answer.
        id: QuestionId,
        /// What to start.
        spec: InstanceSpec,
    },
    /// Signals a process of an instance; an unknown or ended one changes nothing.
    SignalInInstance {
        /// Which.
        process: InstanceProcess,
        /// How.
        signal: InstanceSignal,
    },
    /// Kills whatever is left of an instance; [`ToNode::InstanceGone`] answers when nothing is.
    EndInstance {
        /// Names the answer.
        id: QuestionId,
        /// Which.
        instance: InstanceId,
    },
    /// Adds lines of the node's own to an output.
    Say(Said),
    /// Asks which limits of instances are not set on this machine; [`ToNode::Unlimited`] answers.
    Limits {
        /// Names the answer.
        id: QuestionId,
    },
}

/// From the guardian. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToNode {
    /// The incarnation has begun and nothing of an earlier one runs.
    Begun {
        /// Of the question.
        id: QuestionId,
    },
    /// What became of a start.
    Start {
        /// Of the question.
        id: QuestionId,
        /// The answer.
        answer: StartAnswer,
    },
    /// Every registered key with where it stands; ends are reported before they are listed.
    Register {
        /// Of the question.
        id: QuestionId,
        /// In order of the key.
        entries: Vec<(ProcessKey, Stage)>,
    },
    /// A process has ended, and nothing of it is left.
    Ended {
        /// Which.
        key: ProcessKey,
        /// How.
        report: EndReport,
    },
    /// A process of an instance has ended; what it left may live on.
    EndedInInstance {
        /// Which.
        process: InstanceProcess,
        /// How.
        end: InstanceEnd,
    },
    /// Nothing is left of an instance.
    InstanceGone {
        /// Of the question.
        id: QuestionId,
    },
    /// The limits of instances that are not set on this machine.
    Unlimited {
        /// Of the question.
        id: QuestionId,
        /// Which, and why.
        unlimited: Vec<Unlimited>,
    },
}

/// Where a registered process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Started, its end not yet reported.
    Running,
    /// Ended and reported, not yet acknowledged.
    Ended,
}

/// The answer to [`ToGuardian::Start`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartAnswer {
    /// It was entered now, and a process made; that it cannot be executed is told as its end.
    Started,
    /// The key was registered before: nothing was started.
    Registered(Stage),
    /// The key was registered, ended and was acknowledged: nothing was started.
    Settled,
    /// No incarnation has begun: nothing was started.
    NotBegun,
    /// The lease is over: nothing was started.
    LeaseOver,
    /// An earlier guardian of this data directory still holds its lock: nothing was started.
    LeftoversAlive,
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartSpec {
    /// Names the start for ever.
    pub key: ProcessKey,
    /// A path, or a name looked up in `PATH`.
    pub program: String,
    /// Its arguments, without the program itself.
    pub args: Vec<String>,
    /// Variables beside the usual ones; those named `CAPSTAN_…` are set by the guardian and win.
    pub env: Vec<(String, String)>,
    /// What it reads from standard input; nothing when empty.
    pub stdin: Vec<u8>,
    /// Its working directory; its own scratch directory when `None`.
    pub directory: Option<String>,
    /// What it may use.
    pub limits: Limits,
    /// After this long it gets SIGKILL.
    pub deadline: Option<Duration>,
}

impl StartSpec {
    /// A process with the usual environment, no input, no limits and no deadline, in its scratch directory.
    pub fn new(key: impl Into<ProcessKey>, program: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            stdin: Vec::new(),
            directory: None,
            limits: Limits::default(),
            deadline: None,
        }
    }
}

/// Resource limits of a process; `None` leaves those of the node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most open files (`RLIMIT_NOFILE`, soft and hard).
    pub open_files: Option<u64>,
}

/// How a process ended, with what it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndReport {
    /// How the process itself ended.
    pub end: End,
    /// Why the guardian interfered, if it did.
    pub cut: Option<Cut>,
    /// When it was started, by this machine's wall clock.
    pub started_at: Timestamp,
    /// When its end was seen, by this machine's wall clock.
    pub finished_at: Timestamp,
    /// The end of its standard output.
    pub stdout: Captured,
    /// The end of its standard error.
    pub stderr: Captured,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// It never ran.
    NotStarted(StartFailure),
}

/// Why a process never ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartFailure {
    /// What could not be done.
    pub step: StartStep,
    /// The operating system's error number.
    pub errno: i32,
}

/// The steps between a request to start and the running program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StartStep {
    /// Making the process at all.
    Spawn,
    /// Session, signals and limits.
    Setup,
    /// Making its scratch directory.
    Scratch,
    /// Entering its working directory.
    Directory,
    /// Executing the program: not found, not executable.
    Exec,
    /// Becoming its user: there is none of that name, or this node may not.
    User,
    /// Joining the control groups that limit its instance.
    Limits,
    /// Joining the network of its instance.
    Network,
}

/// Why the guardian ended a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cut {
    /// It was asked to stop, and got SIGTERM.
    Stopped,
    /// It was asked to stop, was still there when its grace ended, and got SIGKILL.
    Killed,
    /// It outlived its deadline and got SIGKILL.
    DeadlineOver,
    /// The node's lease ended and it got SIGKILL.
    LeaseOver,
}
