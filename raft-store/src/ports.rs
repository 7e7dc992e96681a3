//! What the store needs from the world: a clock and random bits. Constructed by the binary and by the simulator only.

use std::time::Duration;

use capstan_model::time::Timestamp;

/// Two clocks of one machine.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, which may jump.
    fn wall(&self) -> Timestamp;

    /// Time since some fixed moment, which only grows; shared with the guardian (CLOCK_BOOTTIME).
    fn monotonic(&self) -> Duration;
}

/// Random bits.
pub trait Entropy: Send + Sync + 'static {
    /// 64 random bits.
    fn u64(&self) -> u64;

    /// 128 random bits.
    fn u128(&self) -> u128 {
        u128::from(self.u64()) << 64 | u128::from(self.u64())
    }
}

/// Told once that this node must stop: its storage can no longer be trusted, or Raft has died.
pub trait FatalSink: Send + Sync + 'static {
    /// Stops the process with exit code 74, or the simulated node.
    fn fatal(&self, reason: &str);
}
