//! The surface over a real cluster, but for some tests of one voter: golden transcripts, and what only connections and waiting calls show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod auth;
mod cells;
mod connections;
mod contention;
mod events;
mod history;
mod logs;
mod node;
mod output;
mod several_nodes;
mod stopping;
mod streams;
#[path = "../../../raft-store/tests/common/mod.rs"]
#[expect(dead_code, reason = "the store's own tests do more with it")]
mod three_nodes;
mod transcripts;
