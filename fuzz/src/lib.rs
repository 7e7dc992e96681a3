//! Feeds every decoder what nobody would send it, and says what must hold whatever comes.
//!
//! A [`Target`] is one decoder, or one subject of several, as a function of bytes: it panics when something does not hold.
//! That it returns at all is the first thing that must. `fuzzer/` drives it with libFuzzer, `tests/corpus.rs` with the files
//! of `corpus/`, among them every input that once broke something.

mod memory_disk;
mod runtime;
mod targets;
mod verdict;

pub use verdict::Verdict;

/// One decoder under fuzz.
pub struct Target {
    /// Its name, which is that of its corpus.
    pub name: &'static str,
    /// Feeds it one input.
    pub run: fn(&[u8]) -> Verdict,
    /// Inputs worth starting from, each under a name: encoded from real values, all of them understood.
    pub seeds: fn() -> Vec<Seed>,
}

/// An input to start from.
pub struct Seed {
    /// Tells it from the others of its target.
    pub name: &'static str,
    /// The input.
    pub bytes: Vec<u8>,
}

impl Seed {
    /// Names an input.
    pub fn new(name: &'static str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { name, bytes: bytes.into() }
    }
}

/// Every target, by name.
pub const TARGETS: &[Target] = &[
    targets::commands::TARGET,
    targets::event_stream::TARGET,
    targets::guardian_frame::TARGET,
    targets::http_api::TARGET,
    targets::log_entry::TARGET,
    targets::node_config::TARGET,
    targets::peer_frame::TARGET,
    targets::peer_hello::TARGET,
    targets::plugin_manifest::TARGET,
    targets::raft_message::TARGET,
    targets::result_file::TARGET,
    targets::snapshot::TARGET,
    targets::spec_yaml::TARGET,
    targets::stored_rows::TARGET,
    targets::texts::TARGET,
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
