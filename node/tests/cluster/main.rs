//! Clusters of three real processes on loopback: what they promise while nodes are killed, stopped, wiped, short of disk
//! and sent rubbish.
//!
//! Counts are small, so that this can run with every other test. `CAPSTAN_ROUNDS=100` raises the count of whichever test is
//! run, and holds it to its budget of time; `CAPSTAN_BIN` names another program than the one just built. With both, these
//! tests are the proofs of a release:
//!
//! ```text
//! CAPSTAN_ROUNDS=100 CAPSTAN_BIN=target/release/capstan \
//!     cargo test -p capstan-node --test cluster -- --nocapture a_killed_leader
//! ```

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of a test file for production code")]

mod harness;

mod beyond;
mod blue_green;
mod callers;
mod directories;
mod disk_full;
mod evacuation;
mod followed_events;
mod jobs_and_nodes;
mod leader_killed;
mod leader_paused;
mod lrp_cli;
mod lrp_metrics;
mod lrps;
mod malformed_calls;
mod malformed_peers;
mod networks;
mod owner_lost;
mod reads;
mod requests;
mod retention;
mod snapshot;
mod spec_pushes;
mod spinc;
mod starters;
mod writers;
mod zoo;
