//! What a plugin prints when it is asked to describe itself.

use capstan_node::jobs::plugin::manifest::Manifest;

use crate::{Seed, Target, Verdict};

pub(crate) const TARGET: Target = Target { name: "plugin_manifest", run, seeds };

fn run(input: &[u8]) -> Verdict {
    let read = Manifest::parse(input);
    assert_eq!(read, Manifest::parse(input), "a description means one thing");
    Verdict::of(read.is_ok())
}

fn seeds() -> Vec<Seed> {
    vec![
        Seed::new(
            "full",
            "{\"create\":\"run\",\"idempotent\":true,\"args\":[\"a\"],\"sets\":[\"b\",\"c\"]}\n",
        ),
        Seed::new("empty", "{}"),
        Seed::new("none", r#"{"create":"none","args":[]}"#),
    ]
}
