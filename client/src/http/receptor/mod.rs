//! Calls under `/v1`, the API of Diego's clients.

mod events;
mod frames;
mod logs;
mod lrps;
mod opened;
mod tasks;

pub use self::{
    events::{EventStream, Notice},
    logs::{LogQuery, LogStream, Stream},
};
