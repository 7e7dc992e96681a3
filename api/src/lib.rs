//! HTTP at the edge of a node: calls in, proposals and reads out, and the one table from errors to status codes.
//!
//! * [`Api`] is the surface of one node. [`Api::call`] serves one call, so the simulator needs no sockets; [`server::serve`]
//!   serves connections.
//! * An answer is whole, or a stream of which one piece is in memory ([`AnswerBody`]): `events/` reads on over public events, and
//!   `streams` says how long streams go on.
//! * A call goes through `service` (bounds, route, body), then to one file per group of operations: `cluster/` for
//!   `/cluster/v1` and what operators look at, `spin_cycle/` for `/api/v1`, `receptor/` for `/v1`. Each prefix keeps its own
//!   shapes, also for errors.
//! * `auth` finds out who calls and whether he may; [`ROUTES`] is the table of what each call takes.
//! * `error` is the table: whatever goes wrong becomes a status and a body there and nowhere else.
//! * [`ports`] are the traits through which the node gives it specs, job types and its health.
//!
//! This is the only crate that knows warp and status codes. It holds no rule of the business, and sees neither openraft nor the
//! storage engine: `capstan_raft_store::handle::ClusterHandle` is the one door down.

mod answer;
mod answer_body;
mod archive;
mod auth;
mod call;
mod cluster;
mod error;
mod events;
mod go_escape;
mod headers;
mod limits;
mod metrics;
pub mod ports;
mod query;
mod read;
mod receptor;
mod route;
pub mod server;
mod service;
mod specs_in_use;
mod spin_cycle;
mod streams;

pub use answer_body::{AnswerBody, AnswerBroken};
pub use auth::{
    permission::{Permission, ROUTES, Route},
    secret::DrawnToken,
};
pub use receptor::access::{Access, Credentials};
pub use service::{Api, Parts};
pub use streams::HEARTBEAT_AFTER;
