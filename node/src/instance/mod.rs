//! What runs one instance of a long-running process on a cell.
//!
//! * [`life`]: from the first process to the last, and what is observed on the way; [`monitor`]: its health. [`task`]: the same of a
//!   task, which has an end.
//! * [`steps`]: the tree of actions, a file for each kind.
//! * [`driver`]: what the machine must do for all that; [`host`] does it with processes.
//! * [`environment`], [`ports`], [`network`], [`output`]: what a process is given, and where what it writes goes.
//!
//! Nothing here knows the replicated state: whoever starts a life says what to run, and hears what became of it.

pub mod driver;
pub mod environment;
pub mod go_duration;
pub mod host;
pub mod life;
pub mod monitor;
pub mod network;
pub mod output;
pub mod ports;
pub mod steps;
pub mod task;

#[cfg(test)]
pub(crate) mod fake;
