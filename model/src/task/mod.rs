//! Tasks: work that is done once, on some cell, and at most once.
//!
//! A task waits, runs, and is complete; then its owner deletes it, or is told by a callback and it goes by itself. A
//! [`command`] leads to events in `handle`; the events change [`Tasks`]. What time and lost cells do to tasks is listed
//! by [`convergence`]. The times and texts are Diego's. What owners send is checked by
//! [`validate`].

mod check;
mod handle;
mod indexes;
mod live;
mod live_rows;

pub mod command;
pub mod convergence;
pub mod definition;
pub mod validate;

pub(crate) use self::{check::check, handle::handle};
pub use self::{
    handle::RESULT_BYTES_MAX,
    live::{Completed, Outcome, Phase, Task, TaskCounts, TaskEvent, Tasks},
};
