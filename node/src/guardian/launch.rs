//! Starts a guardian and holds the node's end of the socket.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::sys::signal::SigmaskHow;

use super::{environment, signals};

/// A running guardian, seen from its node. Dropping the socket makes it kill every process and exit.
#[derive(Debug)]
pub struct Guardian {
    /// The node's end of the socket.
    pub socket: UnixStream,
    /// The process; it exits soon after the socket is closed.
    pub process: Child,
    /// The data directory, canonical.
    pub data: PathBuf,
}

impl Guardian {
    /// Starts a guardian of this program for a data directory. Called before the runtime has threads: the caller's
    /// memory is then small, and the signals blocked for the start are blocked for nobody else.
    ///
    /// # Errors
    /// The directory is missing, or no process can be made.
    pub fn launch(data: &Path) -> io::Result<Self> {
        Self::launch_program(Path::new("/proc/self/exe"), data)
    }

    /// The same with the program given, for callers that are not that program themselves.
    ///
    /// # Errors
    /// As [`Guardian::launch`].
    pub fn launch_program(program: &Path, data: &Path) -> io::Result<Self> {
        let data = data.canonicalize()?;
        let (socket, far_end) = UnixStream::pair()?;
        let mut command = Command::new(program);
        command
            .arg0("capstan")
            .arg("__guardian")
            .arg(&data)
            .env_clear()
            .envs(environment::usual())
            .env(environment::DIRECTORY, environment::directory_mark(&data)?)
            .env(environment::GUARDIAN_OF, std::process::id().to_string())
            .current_dir("/")
            .stdin(OwnedFd::from(far_end))
            .stdout(Stdio::null());
        // Inherited, so that a ctrl-C at the wrong moment does not end it before it can block them itself.
        let before = signals::deaf().thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
        let process = command.spawn();
        before.thread_set_mask()?;
        Ok(Self { socket, process: process?, data })
    }
}
