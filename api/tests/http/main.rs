//! The surface over a real cluster of one voter: golden transcripts, and what only connections and waiting calls show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod cells;
mod connections;
mod events;
mod logs;
mod node;
mod output;
mod stopping;
mod streams;
mod transcripts;
