//! The grammar of spec files, as written: nothing is checked here but types, and nothing is filled in.
//!
//! Reference: Spin Cycle's request specs, `reference/spin-cycle.md` 2.2.

use super::{
    decode::{Decode, Entries, Ignored, List, Nodes, Reader, mapping},
    yaml::{Marked, Text, Tree, Value},
};

mapping! {
    /// A sequence: declared args, and nodes in the order of the file.
    struct Sequence {
        request: bool = "request",
        args: Args = "args",
        acl: List<AclEntry> = "acl",
        nodes: Nodes<Node> = "nodes",
        /// Let through unread: a place for anchors.
        anchors: Ignored = "_",
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
        admin: bool = "admin",
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
        parallel: Marked<u32> = "parallel",
        deps: List<String> = "deps",
        retry: Marked<u32> = "retry",
        retry_wait: Text = "retryWait",
        condition: Text = "if",
        branches: Marked<Entries<Text>> = "eq",
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

impl Decode for Ops {
    fn decode(tree: &Tree, field: &str, reader: &mut Reader<'_>) -> Option<Self> {
        match &tree.value {
            Value::Text(word) if word == "admin" => Some(Self::Admin),
            Value::List(listed) => {
                let ops = listed.iter().filter_map(|op| reader.optional(op, field));
                Some(Self::Listed(ops.collect()))
            }
            _ => {
                reader.wrong(tree, field, "a list of operations, or 'admin'");
                None
            }
        }
    }
}

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Category {
    Job,
    Sequence,
    Conditional,
}

impl Category {
    /// Their names.
    pub(super) const NAMES: [&str; 3] = ["job", "sequence", "conditional"];

    /// The category of this name; upper and lower case differ.
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "job" => Some(Self::Job),
            "sequence" => Some(Self::Sequence),
            "conditional" => Some(Self::Conditional),
            _ => None,
        }
    }
}

impl Node {
    /// What it stands for, as written; `None` when that is missing or none of them.
    pub(super) fn category(&self) -> Option<Category> {
        Category::named(&self.category.as_ref()?.value)
    }
}
