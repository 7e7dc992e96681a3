//! What a data directory must do, on RocksDB and on a disk whose power can be cut.

mod corruption;
mod crash;
mod every_failure;
mod exhaustive;
mod failures;
mod found;
mod golden;
mod harness;
mod install;
mod killed_then_cut;
mod model;
mod obligations;
mod power;
mod restart;
mod restored;
mod suite;
mod writer;
