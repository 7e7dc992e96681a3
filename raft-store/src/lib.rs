//! Replication and durability: a Raft log, a state machine and snapshots over a storage engine.
//!
//! One door leads in from above, [`handle::ClusterHandle`]; callers cannot tell on which node they are. No type of openraft
//! or RocksDB appears in a public signature.

pub mod engine;
pub mod handle;
pub mod identity;
pub mod peer;
pub mod ports;
pub mod runtime;
pub mod timing;
pub mod view;

mod disk_space;
mod log;
mod machine;
mod rows;
mod snapshot;
mod type_config;
