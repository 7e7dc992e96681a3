//! The grammar of spec files, as written: nothing is checked here but types, and nothing is filled in.
//!
//! Reference: Spin Cycle's request specs, `reference/spin-cycle.md` 2.2; what Capstan adds to them says so.

use super::yaml::{Count, Entries, List, Marked, Text, mapping};

mapping! {
    /// One file.
    struct File {
        sequences: Entries<Option<Sequence>> = "sequences",
    }
}

mapping! {
    /// A sequence: declared args, and nodes in the order of the file.
    struct Sequence {
        request: Marked<bool> = "request",
        args: Args = "args",
        acl: List<AclEntry> = "acl",
        /// Capstan's own: how long a request of it may run.
        timeout: Text = "timeout",
        nodes: Entries<Option<Node>> = "nodes",
        /// Let through unread: a place for anchors.
        anchors: serde::de::IgnoredAny = "_",
    }
}

mapping! {
    /// The args a sequence declares.
    struct Args {
        required: List<Arg> = "required",
        optional: List<Arg> = "optional",
        fixed: List<Arg> = "static",
    }
}

mapping! {
    /// One declared arg.
    struct Arg {
        name: Text = "name",
        desc: Text = "desc",
        default: Text = "default",
    }
}

mapping! {
    /// What a role may do with a request.
    struct AclEntry {
        role: Text = "role",
        admin: Marked<bool> = "admin",
        ops: Ops = "ops",
    }
}

mapping! {
    /// One node of a sequence.
    struct Node {
        category: Text = "category",
        kind: Text = "type",
        args: List<NodeArg> = "args",
        sets: List<NodeSet> = "sets",
        each: Marked<List<String>> = "each",
        parallel: Marked<Count> = "parallel",
        deps: List<String> = "deps",
        retry: Marked<Count> = "retry",
        retry_wait: Text = "retryWait",
        /// Capstan's own: by what the wait grows from try to try.
        retry_backoff: Text = "retryBackoff",
        /// Capstan's own: what no wait exceeds.
        retry_wait_max: Text = "retryWaitMax",
        /// Capstan's own: how long a try may run.
        timeout: Text = "timeout",
        condition: Text = "if",
        branches: Marked<Entries<Option<Text>>> = "eq",
    }
}

mapping! {
    /// An arg handed to a node.
    struct NodeArg {
        expected: Text = "expected",
        given: Text = "given",
    }
}

mapping! {
    /// An arg a node hands back.
    struct NodeSet {
        arg: Text = "arg",
        renamed: Text = "as",
    }
}

/// The operations of an ACL entry: a list, or the word `admin`, which says the same as `admin: true`.
#[derive(Debug)]
pub(super) enum Ops {
    /// `ops: admin`, as Spin Cycle's documents write it.
    Admin,
    /// The listed operations; nulls are dropped.
    Listed(Vec<Text>),
}

impl<'de> serde::Deserialize<'de> for Ops {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OpsVisitor;

        impl<'de> serde::de::Visitor<'de> for OpsVisitor {
            type Value = Ops;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a list of operations, or 'admin'")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Ops, E> {
                if text == "admin" {
                    Ok(Ops::Admin)
                } else {
                    Err(E::invalid_value(serde::de::Unexpected::Str(text), &self))
                }
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Ops, A::Error> {
                let mut listed = Vec::new();
                while let Some(op) = seq.next_element::<Option<Text>>()? {
                    listed.extend(op);
                }
                Ok(Ops::Listed(listed))
            }
        }

        deserializer.deserialize_any(OpsVisitor)
    }
}
