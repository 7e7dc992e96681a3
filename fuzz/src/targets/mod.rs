//! The targets, one a file; `messages` and `world` hold what several of them start from.

mod messages;
mod world;

pub(crate) mod commands;
pub(crate) mod event_stream;
pub(crate) mod guardian_frame;
pub(crate) mod http_api;
pub(crate) mod log_entry;
pub(crate) mod node_config;
pub(crate) mod peer_frame;
pub(crate) mod peer_hello;
pub(crate) mod plugin_manifest;
pub(crate) mod raft_message;
pub(crate) mod result_file;
pub(crate) mod snapshot;
pub(crate) mod spec_yaml;
pub(crate) mod stored_rows;
pub(crate) mod texts;
