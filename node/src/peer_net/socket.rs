//! The options of every socket between two nodes.

use std::io;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;

/// How long a silent or unacknowledged connection may stay so before the kernel gives it up, in seconds: a peer that
/// lost its power must not hold calls for the many minutes of TCP's defaults.
const PATIENCE_SECS: u32 = 3;

/// Sends small frames at once and notices a peer that vanished.
///
/// # Errors
/// The kernel refuses an option.
pub(super) fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &PATIENCE_SECS)?;
    setsockopt(socket, sockopt::TcpKeepInterval, &1)?;
    setsockopt(socket, sockopt::TcpKeepCount, &PATIENCE_SECS)?;
    setsockopt(socket, sockopt::TcpUserTimeout, &(PATIENCE_SECS * 1_000))?;
    Ok(())
}
