//! Requests: what is stored of them, the rules by which their jobs run, and what is left when they end.
//!
//! [`graph`] expands a request into its chain before anything is stored. A [`command`] leads to [`event`]s in
//! `handle`; the events change [`LiveRequests`]. The rules are one subject a file: `draft` works off what
//! follows from a command, `ownership` says which node runs a request and when it changes hands, `retry` what
//! becomes of a job when a try of it ends, `sequence` what becomes of the sequences around one that failed,
//! `pacing` which expansions may start. Beyond Spin Cycle: `expiry` ends what is out of time, `approval` what somebody decides,
//! `pause` holds a request, `renewal` goes on with a finished one, which [`rerun`] plans. Actors and the API read through [`LiveRequests`] and [`view`].

mod archive_hints;
mod archive_indexes;
mod archive_rows;
mod chain_checks;
mod check;
mod draft;
pub(crate) mod expiry;
mod indexes;
mod live;
mod live_rows;
mod nesting;
mod ownership;
mod pacing;
pub(crate) mod pause;
mod renewal;
mod retry;
mod sequence;

pub mod approval;
pub mod chain;
pub mod command;
pub mod control;
pub mod event;
pub mod graph;
pub(crate) mod handle;
pub mod job;
pub mod json;
pub mod output;
pub mod parallel;
pub mod request;
pub mod rerun;
pub mod terms;
pub mod view;

pub(crate) use self::{
    archive_hints::{Hint, WantedHints},
    archive_indexes::{Index, LENGTH_CLASSES, newest_first},
    archive_rows::{
        CreatedHead, FinishedDataRow, FinishedRow, FinishedTermsRow, JobLogRow, decision_key, finished_key,
        job_log_key, retries_key,
    },
    check::check,
};
pub use self::{
    archive_indexes::{ARG_TEXT_BYTES_MAX, ARGS_INDEXED_MAX, ArgTerm, Indexed},
    archive_rows::FinishedJob,
    live::LiveRequests,
    ownership::TAKEN_OVER_MAX,
};
