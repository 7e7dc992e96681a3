//! Calls under `/v1`, the API of Diego's clients.

mod events;
mod frames;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod logs;
mod lrps;
mod tasks;

use std::time::Duration;

pub use self::{
    events::{EventStream, Notice},
    logs::{LogQuery, LogStream, Stream},
};

/// How long a stream may be silent before it is taken for broken: a node whose machine is gone sends no end. One that is there says
/// something every ten seconds.
const SILENCE_MAX: Duration = Duration::from_secs(60);
