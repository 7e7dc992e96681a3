//! A pipe that is read to its end.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// The most bytes read from one stream before the others have their turn.
const READ_TURN_BYTES: usize = 256 * 1024;

/// Where the bytes of a stream go.
pub(crate) trait Sink {
    /// Takes what was read.
    fn push(&mut self, read: &[u8]);
}

/// The reading end of a pipe, and what becomes of the bytes.
#[derive(Debug, Default)]
pub(crate) struct Stream<S> {
    pipe: Option<File>,
    sink: S,
}

impl<S: Sink> Stream<S> {
    /// Takes over a pipe.
    pub(crate) fn new(pipe: OwnedFd, sink: S) -> Self {
        Self { pipe: Some(unblocked(pipe)), sink }
    }

    /// The pipe, until its end was read.
    pub(crate) fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Whether somebody may still write.
    pub(crate) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reads what is there, at most [`READ_TURN_BYTES`]; closes the pipe at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut turn = 0;
        while turn < READ_TURN_BYTES {
            match pipe.read(buffer) {
                Ok(0) => {
                    self.pipe = None;
                    return;
                }
                Ok(count) => {
                    self.sink.push(&buffer[..count]);
                    turn += count;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.pipe = None;
                    return;
                }
            }
        }
    }

    /// Where the bytes go.
    pub(crate) fn sink(&self) -> &S {
        &self.sink
    }

    /// What became of the bytes.
    pub(crate) fn into_sink(self) -> S {
        self.sink
    }
}

/// Makes a pipe that never waits.
pub(crate) fn unblocked(pipe: OwnedFd) -> File {
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("an open pipe can be made non-blocking");
    File::from(pipe)
}
