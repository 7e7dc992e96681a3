//! The surface over a real cluster of one voter: golden transcripts, and what only connections and waiting calls show.

mod connections;
mod node;
mod stopping;
mod transcripts;
