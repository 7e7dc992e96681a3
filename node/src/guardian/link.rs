//! The guardian's end of the socket: never waits, in either direction.

use std::{
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
};

use nix::poll::PollFlags;

use super::{
    frame::{self, FrameError, Inbox},
    protocol::{ToGuardian, ToNode},
};

/// The most bytes taken in before processes have their turn.
const RECEIVE_TURN_BYTES: usize = 1024 * 1024;

/// The socket to the node, with what is half received and not yet sent.
///
/// What waits to be sent is bounded by what the node had started before it stopped reading: one end per process.
#[derive(Debug)]
pub(crate) struct Link {
    socket: UnixStream,
    inbox: Inbox<ToGuardian>,
    outbox: Vec<u8>,
    sent: usize,
    closed: bool,
}

impl Link {
    /// Takes over a connected socket.
    ///
    /// # Errors
    /// It cannot be made non-blocking: it is no socket.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, inbox: Inbox::default(), outbox: Vec::new(), sent: 0, closed: false })
    }

    /// Whether the node is gone: it closed its end, died, or spoke another protocol.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// What to wait for; `None` when there is nothing more to come.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, self.sent < self.outbox.len());
        (!self.closed).then(|| (self.socket.as_fd(), flags))
    }

    /// Queues a message and sends what goes at once.
    pub(crate) fn send(&mut self, message: &ToNode) {
        frame::encode(message, &mut self.outbox).expect("reports are smaller than a frame");
        self.flush();
    }

    /// Sends what goes without waiting.
    pub(crate) fn flush(&mut self) {
        while !self.closed && self.sent < self.outbox.len() {
            match self.socket.write(&self.outbox[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.closed = true,
            }
        }
        self.outbox.clear();
        self.sent = 0;
    }

    /// Takes in what is there and returns the complete messages. Those received before the end of the stream are
    /// returned with it.
    ///
    /// # Errors
    /// Bytes that are no message; the link is closed then.
    pub(crate) fn receive(&mut self, buffer: &mut [u8]) -> Result<Vec<ToGuardian>, FrameError> {
        let mut messages = Vec::new();
        let mut turn = 0;
        while !self.closed && turn < RECEIVE_TURN_BYTES {
            match self.socket.read(buffer) {
                Ok(0) => self.closed = true,
                Ok(count) => {
                    turn += count;
                    self.inbox.extend(&buffer[..count]);
                    while let Some(message) = self.inbox.take().inspect_err(|_| self.closed = true)? {
                        messages.push(message);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.closed = true,
            }
        }
        Ok(messages)
    }
}
