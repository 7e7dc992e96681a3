//! What a data directory must do, on RocksDB.

mod corruption;
mod crash;
mod failures;
mod golden;
mod harness;
mod install;
mod model;
mod obligations;
mod restart;
mod suite;
