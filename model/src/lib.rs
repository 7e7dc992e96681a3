//! The pure core of Capstan: commands in; replies, events and changed rows out.
//!
//! Nothing here waits, reads a clock or a file, or draws a random number, so every node that applies the same log
//! holds the same [`state::State`], and a test needs no runtime.
//!
//! # One command
//!
//! 1. A proposer draws the ids it needs and seals a [`command::Command`] under its [`ids::CommandId`]: the bytes made there
//!    are the bytes in the log ([`command::Sealed`]). The leader gathers a batch into a [`command::Entry`] and stamps it with
//!    [`log_time`].
//! 2. [`apply::apply`] takes the committed entry. It asks [`session`] whether the command was executed before, and
//!    [`idempotency`] whether the client's call was; then the command's handler reads State and decides: a
//!    [`rejection::Rejection`], or an answer and [`event`]s.
//! 3. `State::evolve` applies the events. It is the only code that changes State, and as it changes a fact it hands
//!    the fact's old and new form to the [`rows::RowSink`], which encodes the row and keeps the checksum.
//! 4. The caller writes the [`rows::RowChange`]s and publishes a clone of State, which costs a few reference counts: the maps
//!    are persistent. [`state::State::load`] of all rows ever written gives an equal State.
//!
//! # Where to find what
//!
//! * What may enter: [`command`]; what comes out: [`reply`], [`rejection`], [`event`], [`rows`].
//! * What is kept: [`state`], and its parts [`cluster`], [`nodes`], [`session`], [`idempotency`], [`settings`], [`variables`],
//!   [`spec_store`], [`workflow`], [`lrp`] and [`task`], each with its handlers, its `evolve` and its rows in one place.
//! * Where what is to run is placed: [`auction`].
//! * Request specs and their linter: [`spec`]; finished requests, read from rows: [`archive`]; public events, read from
//!   rows: [`history`].
//! * What must always hold: [`invariant`].

/// Whether a bug is planted here, for the simulator to catch; `false` in every other build. For all crates of ours.
#[cfg(feature = "simulation")]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutants::is_planted($name)
    };
}
/// Whether a bug is planted here: never, in this build.
#[cfg(not(feature = "simulation"))]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        false
    };
}

/// Counts, for the simulator, that something rare has happened; does nothing in every other build. A condition may follow the name.
#[cfg(feature = "simulation")]
#[macro_export]
macro_rules! sometimes {
    ($name:literal) => {
        $crate::probes::reached($name)
    };
    ($name:literal, $happens:expr) => {
        if $happens {
            $crate::probes::reached($name);
        }
    };
}
/// Counts, for the simulator, that something rare has happened: nothing, in this build.
#[cfg(not(feature = "simulation"))]
#[macro_export]
macro_rules! sometimes {
    ($name:literal) => {};
    ($name:literal, $happens:expr) => {
        if false {
            let _: bool = $happens;
        }
    };
}

/// Whether the simulator lets something go a rarer way that is legal too: a smaller batch, a later timer. `false` in every other build.
#[cfg(feature = "simulation")]
#[macro_export]
macro_rules! buggify {
    ($name:literal) => {
        $crate::probes::disturbs($name)
    };
}
/// Whether the simulator lets something go a rarer way: never, in this build.
#[cfg(not(feature = "simulation"))]
#[macro_export]
macro_rules! buggify {
    ($name:literal) => {
        false
    };
}

/// A place where the simulator may strike a node dead, or let what passes panic.
#[cfg(feature = "simulation")]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        $crate::probes::passing($name)
    };
}
/// A place where the simulator may strike a node dead: nothing, in this build.
#[cfg(not(feature = "simulation"))]
#[macro_export]
macro_rules! failpoint {
    ($name:literal) => {
        ()
    };
}

pub mod apply;
pub mod archive;
pub mod auction;
pub mod cluster;
pub mod command;
pub mod event;
pub mod history;
pub mod idempotency;
pub mod ids;
pub mod invariant;
pub mod log_time;
pub mod lrp;
#[cfg(feature = "simulation")]
pub mod mutants;
pub mod nodes;
#[cfg(feature = "simulation")]
pub mod probes;
pub mod rejection;
pub mod reply;
pub mod rows;
pub mod session;
pub mod settings;
pub mod spec;
pub mod spec_store;
pub mod state;
pub mod task;
pub mod time;
pub mod variables;
pub mod workflow;
