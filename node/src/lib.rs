//! One node: the real world around the store and the API.
//!
//! `main` parses and calls in here. What belongs to business rules is in `capstan-model`; nothing here decides it.
//!
//! * [`guardian`]: the process that starts all others; [`executor`]: how actors ask it; [`jobs`]: what a job can be.
//! * [`peer_net`]: the connections between nodes. [`clock`], [`entropy`]: the machine's clocks and random bits.

pub mod clock;
pub mod config;
pub mod dev;
pub mod entropy;
pub mod executor;
pub mod guardian;
pub mod jobs;
pub mod peer_net;
pub mod specs_dir;
pub mod telemetry;
