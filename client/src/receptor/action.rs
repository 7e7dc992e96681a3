//! Actions: what an instance or a task runs.

use serde::{Deserialize, Serialize};

use super::null_is_empty;

/// One kind of action, named by the member that is set. When several are, the first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Action {
    /// Fetches an archive and unpacks it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download: Option<Download>,
    /// Sends a file out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload: Option<Upload>,
    /// Runs a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
    /// Cancels what it holds when its time is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Timeout>,
    /// Says that what it holds begins, and how it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub emit_progress: Option<EmitProgress>,
    /// Succeeds, whatever becomes of what it holds.
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    pub try_: Option<Try>,
    /// Runs all at once and waits for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parallel: Option<List>,
    /// Runs one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<List>,
    /// Runs all at once until one ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codependent: Option<List>,
}

/// See [`Action::download`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Download {
    /// What it is called in the output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub artifact: String,
    /// The URL of a tgz or zip archive.
    pub from: String,
    /// A folder in the instance.
    pub to: String,
    /// Under which name it is kept for the next time.
    pub cache_key: String,
    /// Names the source of its output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_source: String,
    /// Whose the files are.
    pub user: String,
}

/// See [`Action::upload`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Upload {
    /// What it is called in the output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub artifact: String,
    /// A file in the instance.
    pub from: String,
    /// The URL it is posted to.
    pub to: String,
    /// Names the source of its output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_source: String,
    /// As whom the file is read.
    pub user: String,
}

/// See [`Action::run`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    /// The program.
    pub path: String,
    /// Its arguments.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub args: Vec<String>,
    /// Where it runs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dir: String,
    /// Added to the instance's environment.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub env: Vec<EnvironmentVariable>,
    /// What it may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_limits: Option<ResourceLimits>,
    /// As whom it runs.
    pub user: String,
    /// Names the source of its output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_source: String,
}

/// What a process may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ResourceLimits {
    /// The most open files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nofile: Option<u64>,
}

/// See [`Action::timeout`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timeout {
    /// What is given the time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Box<Action>>,
    /// How long, in nanoseconds.
    pub timeout: i64,
    /// Names the source of its output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_source: String,
}

/// See [`Action::emit_progress`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EmitProgress {
    /// What progresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Box<Action>>,
    /// Said before.
    pub start_message: String,
    /// Said after it has succeeded.
    pub success_message: String,
    /// Said after it has failed, before the cause.
    pub failure_message_prefix: String,
    /// Names the source of its output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_source: String,
}

/// See [`Action::try_`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Try {
    /// What may fail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<Box<Action>>,
    /// Names the source of its output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_source: String,
}

/// Several actions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct List {
    /// In order; `None` only in a list that is kept and not run.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub actions: Vec<Option<Action>>,
    /// Names the source of its output.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub log_source: String,
}

/// A variable of an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnvironmentVariable {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
}
