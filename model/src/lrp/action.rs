//! What an instance or a task runs: a tree of nine kinds of action.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A wrapper around exactly one kind of action, as a rule. A caller may send several: the first counts, and the others are kept and shown
/// again, so that nobody's file is changed by being stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// In the order of [`Kind`]'s variants, at most one of each.
    pub kinds: Vec<Kind>,
}

/// One kind of action. The order is that in which a wrapper of several is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Fetches an archive and unpacks it into the instance.
    Download(Download),
    /// Sends a file out of the instance.
    Upload(Upload),
    /// Runs a process until it exits.
    Run(Run),
    /// Cancels what it holds when its time is over.
    Timeout(Timeout),
    /// Says in the output that what it holds begins, and how it ended.
    EmitProgress(EmitProgress),
    /// Succeeds, whatever becomes of what it holds.
    Try(Try),
    /// Runs all at once and waits for all.
    Parallel(List),
    /// Runs one after the other, up to the first that fails.
    Serial(List),
    /// Runs all at once; when one ends, however it ends, the others are cancelled. It always fails.
    Codependent(List),
}

/// See [`Kind::Download`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Download {
    /// What it is called in the output; nothing is said when it is empty.
    pub artifact: Arc<str>,
    /// The URL of a tgz or zip archive.
    pub from: Arc<str>,
    /// A folder in the instance.
    pub to: Arc<str>,
    /// Under which name the cell keeps it for the next time; empty is not at all.
    pub cache_key: Arc<str>,
    /// Whose the files are.
    pub user: Arc<str>,
    /// Names the source of its output.
    pub log_source: Arc<str>,
}

/// See [`Kind::Upload`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// What it is called in the output; nothing is said when it is empty.
    pub artifact: Arc<str>,
    /// A file in the instance.
    pub from: Arc<str>,
    /// The URL it is posted to.
    pub to: Arc<str>,
    /// As whom the file is read.
    pub user: Arc<str>,
    /// Names the source of its output.
    pub log_source: Arc<str>,
}

/// See [`Kind::Run`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The program.
    pub path: Arc<str>,
    /// Its arguments.
    pub args: Vec<Arc<str>>,
    /// Where it runs; empty is the instance's own folder.
    pub dir: Arc<str>,
    /// Added to the instance's environment.
    pub env: Vec<EnvVar>,
    /// What it may use.
    pub resource_limits: ResourceLimits,
    /// As whom it runs.
    pub user: Arc<str>,
    /// Names the source of its output.
    pub log_source: Arc<str>,
}

/// What a process may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimits {
    /// The most open files; `None` is the cell's own limit.
    pub nofile: Option<u64>,
}

/// See [`Kind::Timeout`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeout {
    /// What is given the time.
    pub action: Option<Box<Action>>,
    /// How long, in nanoseconds.
    pub timeout_ns: i64,
    /// Names the source of its output.
    pub log_source: Arc<str>,
}

/// See [`Kind::EmitProgress`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmitProgress {
    /// What progresses.
    pub action: Option<Box<Action>>,
    /// Said before.
    pub start_message: Arc<str>,
    /// Said after it has succeeded.
    pub success_message: Arc<str>,
    /// Said after it has failed, before the cause.
    pub failure_message_prefix: Arc<str>,
    /// Names the source of its output.
    pub log_source: Arc<str>,
}

/// See [`Kind::Try`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// What may fail.
    pub action: Option<Box<Action>>,
    /// Names the source of its output.
    pub log_source: Arc<str>,
}

/// Several actions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// In order; `None` where a caller sent `null`, which is refused unless the list is kept only.
    pub actions: Vec<Option<Action>>,
    /// Names the source of its output.
    pub log_source: Arc<str>,
}

/// A variable of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    /// Its name.
    pub name: Arc<str>,
    /// Its value.
    pub value: Arc<str>,
}

impl Action {
    /// The kind that counts; `None` of an empty wrapper, which is refused before it is stored.
    pub fn kind(&self) -> Option<&Kind> {
        self.kinds.first()
    }
}
