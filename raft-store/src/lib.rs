//! Replication and durability: a Raft log, a state machine and snapshots over a storage engine.
//!
//! One door leads in from above, [`handle::ClusterHandle`]; callers cannot tell on which node they are. A write goes
//! `handle` → `outbox` → `dispatcher` → the leader's `sequencer` → openraft → `log` → `machine` → `publish`, which answers from
//! the local apply. A read goes through `read_index` and then looks at the published [`view::View`]. No type of openraft or RocksDB
//! appears in a public signature.

pub mod cluster;
pub mod engine;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod handle;
pub mod hints;
pub mod identity;
pub mod peer;
pub mod ports;
pub mod runtime;
pub mod timing;
pub mod view;
#[cfg(feature = "simulation")]
pub mod witness;

mod admission;
mod disk_space;
mod dispatcher;
mod founding;
mod generation;
mod heartbeat;
mod incoming_snapshot;
mod leadership;
mod log;
mod machine;
mod network;
mod new_leader;
mod outbox;
mod publish;
mod quorum_loss;
mod raft_config;
mod read_index;
mod rows;
mod self_check;
mod sequencer;
mod service;
mod snapshot;
mod snapshot_trigger;
mod stamp;
mod status;
mod storage;
mod tasks;
mod type_config;
