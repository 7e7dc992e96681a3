//! openraft's messages, as they travel inside a call: what is read can be sent and read again.

use capstan_raft_store::fuzzing;

use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "raft_message", run, seeds };

fn run(input: &[u8]) -> Verdict {
    Verdict::of(fuzzing::raft_messages(input))
}

fn seeds() -> Vec<Seed> {
    fuzzing::sample_messages().into_iter().map(|(name, bytes)| Seed::new(name, bytes)).collect()
}
