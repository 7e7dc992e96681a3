//! The shapes under `/api/v1`, those of Spin Cycle 2.1.1: order and case of keys, what is omitted and what is null.
//!
//! Golden copies of the real server's answers are in `client/tests/spin_cycle/`. Where Capstan decides otherwise
//! (its design page, section 6) only values differ, never shapes.

mod chain;
mod error;
mod filter;
mod job_log;
mod request;
mod request_list;
mod running;
mod state;
mod time;

pub use chain::{Job, JobChain};
pub use error::{FrameworkError, HandlerError};
pub use filter::RequestFilter;
pub use job_log::JobLogEntry;
pub use request::{ArgKind, CreateRequest, Request, RequestArg};
pub use request_list::RequestListEntry;
pub use running::{JobStatus, RunningStatus};
pub use state::{State, UnknownState};
pub use time::UtcTime;
