//! What a machine does for one instance.

use std::{fmt, sync::Arc};

use capstan_model::lrp::action::{Download, EnvVar, Upload};
use futures::future::BoxFuture;

/// Runs the processes of one instance, moves its files and keeps its output.
///
/// A future that is dropped before it is ready gives up what it did; [`Driver::start`] is never dropped.
pub trait Driver: Send + Sync {
    /// Makes what the processes of the instance need: its folder, its limits.
    fn open(&self) -> BoxFuture<'_, Result<(), OpenError>>;

    /// Ends whatever is left of the instance, and returns when nothing is.
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Starts a process. The text of the error is for the owner of the instance.
    fn start(&self, process: Process) -> BoxFuture<'_, Result<Running, String>>;

    /// Signals a process and its group; nothing happens to one that has ended.
    fn signal(&self, process: ProcessNo, signal: Signal);

    /// Fetches an archive to the cell.
    fn fetch<'a>(&'a self, download: &'a Download) -> BoxFuture<'a, Result<Fetched, String>>;

    /// Unpacks a fetched archive into the instance.
    fn unpack<'a>(&'a self, fetched: Fetched, download: &'a Download) -> BoxFuture<'a, Result<(), String>>;

    /// Sends a file of the instance; returns its length in bytes.
    fn upload<'a>(&'a self, upload: &'a Upload) -> BoxFuture<'a, Result<u64, UploadError>>;

    /// Adds lines of the cell's own to the output of the instance. `text` may hold several, each with its end.
    fn say(&self, source: &str, stream: Stream, text: &str);
}

/// Why an instance cannot begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// This cell runs nothing now; another one, or this one later, will.
    #[error("{0}")]
    Refused(String),
    /// It failed, and may fail again.
    #[error("{0}")]
    Failed(String),
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// A path, or a name looked up in `PATH`.
    pub path: Arc<str>,
    /// Its arguments.
    pub args: Vec<Arc<str>>,
    /// Where it runs; the instance's own folder when empty.
    pub dir: Arc<str>,
    /// Added to the environment of the instance.
    pub env: Vec<EnvVar>,
    /// As whom it runs.
    pub user: Arc<str>,
    /// The most open files; `None` is the cell's own limit.
    pub open_files: Option<u64>,
    /// Where what it writes goes.
    pub keep: Keep,
}

/// Where the output of a process goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    /// Into the output of the instance, under the name of this source.
    Output(Arc<str>),
    /// To whoever waits for its end.
    Held,
}

/// Names a process among those of its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessNo(pub u32);

/// A started process.
pub struct Running {
    /// Names it.
    pub process: ProcessNo,
    /// Is ready once the process itself has ended.
    pub end: BoxFuture<'static, ProcessEnd>,
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("process", &self.process).finish_non_exhaustive()
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEnd {
    /// It ran.
    Exited {
        /// What it exited with; 128 and the signal's number for one that a signal ended.
        status: i32,
        /// Whether the machine ended processes of the instance for want of memory.
        out_of_memory: bool,
        /// The end of what it wrote, if that was held.
        held: Vec<u8>,
    },
    /// It never ran, or nobody knows any more; the text is for the owner of the instance.
    Failed(String),
}

/// What a process is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// To end soon.
    Terminate,
    /// Nothing: it is ended.
    Kill,
}

/// An archive on the cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where it is.
    pub archive: std::path::PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// Why a file was not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadError {
    /// There is no room for a copy.
    TempDir,
    /// The file cannot be read at all.
    Establish,
    /// What is there is no file.
    NoFile,
    /// The copy cannot be made.
    TempFile,
    /// The copy cannot be finished.
    Copy,
    /// The call failed. The text may hold secrets of the URL: it is never written to the output.
    Call(String),
}

/// One of the two streams of an instance's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}
