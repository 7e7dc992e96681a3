//! One node: the real world around the store and the API.
//!
//! `main` parses and calls in here. What belongs to business rules is in `capstan-model`; nothing here decides it.
//!
//! * [`guardian`]: the process that starts all others; [`executor`]: how actors ask it; [`jobs`]: what a job can be;
//!   [`instance`]: what runs an instance of a long-running process, and [`cell`]: the node as a host of those;
//!   [`callbacks`]: who is told of the end of a task.
//! * [`actors`]: what acts on the replicated state; [`leadership`]: those that only the leader runs.
//! * [`peer_net`]: the connections between nodes; [`peers_answered`]: what is asked over them, of [`live_status`] and [`instance_output`].
//!   [`clock`], [`entropy`]: the machine's clocks and random bits.
//! * [`server`]: one node made of all that, with [`config`], [`specs_dir`], [`specs_seed`] and [`telemetry`]; [`dev`]: several on one machine.

pub mod actors;
pub mod callbacks;
pub mod cell;
pub mod clock;
pub mod config;
pub mod dev;
pub mod entropy;
pub mod executor;
pub mod guardian;
pub mod instance;
pub mod instance_output;
pub mod jobs;
pub mod leadership;
pub mod leave;
pub mod live_status;
pub mod lost;
pub mod peer_net;
pub mod peers_answered;
pub mod server;
pub mod spec_tools;
pub mod specs_dir;
pub mod specs_seed;
pub mod telemetry;
