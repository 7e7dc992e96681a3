//! What a node tells its guardian about the processes of instances.

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{output::Captured, protocol::End};
use crate::instance::driver::Stream;

/// Names an instance for ever: its guid, a UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId(pub u128);

/// Names a process for ever: an instance numbers its own upward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceProcess {
    /// The instance.
    pub instance: InstanceId,
    /// From 1; a process is started only if its number is higher than all before.
    pub number: u32,
}

/// A process of an instance to start.
///
/// Instances are not bound to the lease of jobs. What a process leaves behind lives on with its instance, so that a program
/// may become a daemon; all of it ends when the instance is ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceSpec {
    /// Names the process.
    pub process: InstanceProcess,
    /// A path, or a name looked up in `PATH`.
    pub program: String,
    /// Its arguments, without the program itself.
    pub args: Vec<String>,
    /// Variables beside the usual ones; those the guardian itself sets win.
    pub env: Vec<(String, String)>,
    /// The folder of the instance, made where it is missing; absolute.
    pub folder: PathBuf,
    /// The working directory; relative ones are below the folder, and it is the folder itself when `None`.
    pub directory: Option<PathBuf>,
    /// As whom it runs; as the guardian itself when `None`.
    pub user: Option<String>,
    /// Most open files, soft and hard; `None` leaves those of the node.
    pub open_files: Option<u64>,
    /// What the instance as a whole may use. That of its first process counts.
    pub resources: Resources,
    /// Where what it writes goes.
    pub output: Output,
    /// Where it stands.
    pub place: Place,
}

/// What an instance may use, where the machine lets the guardian limit it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// In bytes; zero is unlimited.
    pub memory_bytes: u64,
    /// From 1 to 100, its share of the processors among those that compete; zero is an ordinary one.
    pub cpu_weight: u32,
}

/// Where a process of an instance stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Within the limits of the instance.
    Inside {
        /// The network it is in, a file of the kernel's; that of the machine when `None`.
        network: Option<PathBuf>,
    },
    /// Beside it, in the network of the machine: one of the cell's own, that does something for the instance and is not counted
    /// against its limits.
    Beside,
}

/// Where what a process writes goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Into the files of an output, line by line.
    Files(Destination),
    /// The end of both streams together comes with the end of the process.
    Held,
}

/// An output ([`crate::instance::output`]), and one of its sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The folder of the output; absolute.
    pub folder: PathBuf,
    /// The name of the source.
    pub source: String,
}

/// Lines of the node's own for an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Which output, and as whose.
    pub to: Destination,
    /// On which stream.
    pub stream: Stream,
    /// Any number of lines, each with its end.
    pub text: String,
}

/// What an instance is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstanceSignal {
    /// SIGTERM to a process and its group.
    Terminate,
    /// SIGKILL to a process and its group.
    Kill,
}

/// How a process of an instance ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceEnd {
    /// How the process itself ended.
    pub end: End,
    /// Whether the machine has ended processes of the instance for want of memory, since the instance began.
    pub out_of_memory: bool,
    /// What it wrote, if that was held.
    pub held: Captured,
}

/// As the value of `CAPSTAN_INSTANCE`, and as a folder's name.
impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_written_as_uuids() {
        let id = InstanceId(0x0123_4567_89ab_4def_8123_4567_89ab_cdef);
        assert_eq!(id.to_string(), "01234567-89ab-4def-8123-456789abcdef");
    }
}
