//! The signals a guardian is deaf to, and the one it listens for.

use nix::sys::signal::{SigSet, Signal};

/// What a terminal or an operator sends to the whole group: only the node heeds them, and by closing the socket
/// tells its guardian.
pub(crate) fn deaf() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT].into_iter().collect()
}

/// Says that a child ended.
pub(crate) fn child_ended() -> SigSet {
    SigSet::from(Signal::SIGCHLD)
}
