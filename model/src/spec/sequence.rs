//! A checked sequence: what requests are built from.

use std::{collections::BTreeMap, num::NonZeroU32, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Backoff, Wait};

/// A sequence that passed every check.
#[derive(Debug, Clone)]
pub struct Sequence {
    /// Its name, unique among all files.
    pub name: Arc<str>,
    /// Whether callers may start it.
    pub is_request: bool,
    /// Its declared args: required, then optional, then static, each kind in the order of the file.
    pub args: Vec<Arg>,
    /// Who may do what with it; empty when it has no ACL.
    pub acl: Vec<AclRule>,
    /// How long a request of it may run; unheeded when another sequence calls it.
    pub timeout: Option<Wait>,
    /// Its nodes, each after all it depends on, otherwise in the order of the file.
    pub nodes: Vec<Node>,
}

/// A declared arg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Its name, unique in the sequence.
    pub name: Arc<str>,
    /// What it means, for people; empty when not given.
    pub desc: Arc<str>,
    /// Whether a caller must, may or must not give it.
    pub kind: ArgKind,
    /// Its value when not given, as literal text; optional and static args have one.
    pub default: Option<Arc<str>>,
}

/// Whether a caller gives an arg.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ArgKind {
    /// It must.
    Required,
    /// It may.
    Optional,
    /// It must not; the default is the value.
    Static,
}

/// What one role may do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclRule {
    /// The role's name.
    pub role: Arc<str>,
    /// Whether it may do everything.
    pub admin: bool,
    /// Otherwise, the operations it may do: `start`, `stop`.
    pub ops: Vec<Arc<str>>,
}

/// A step of a sequence.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its name, unique in the sequence.
    pub name: Arc<str>,
    /// What it stands for.
    pub work: Work,
    /// The args it is given: `from` the sequence's, `to` its own. It sees no others.
    pub args: Vec<Rename>,
    /// The args it hands back: `from` its own, `to` the sequence's.
    pub sets: Vec<Rename>,
    /// The lists it is expanded over, in step: `from` a list of the sequence's, `to` the arg that holds an element of
    /// it. Empty when it stands for one thing.
    pub each: Vec<Rename>,
    /// How many expansions run at a time; `None` is all of them.
    pub parallel: Option<NonZeroU32>,
    /// The nodes it directly depends on, as positions in the sequence's nodes; all are smaller than its own.
    pub deps: Vec<usize>,
    /// The nodes it depends on, also through others; positions, ascending.
    pub ancestors: Vec<usize>,
    /// How often it is tried again.
    pub retry: u32,
    /// The wait between two tries.
    pub retry_wait: Option<Wait>,
    /// How that wait grows; `None` if it does not.
    pub backoff: Option<Backoff>,
    /// How long a try of the job may run.
    pub timeout: Option<Wait>,
}

/// What a node stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A job of this type.
    Job(Arc<str>),
    /// All of the sequence of this name.
    Sequence(Arc<str>),
    /// All of the sequence that an arg chooses.
    Conditional(Condition),
}

/// Chooses one of several sequences by the value of an arg.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The arg of the calling sequence.
    pub arg: Arc<str>,
    /// The sequence for each value. The one for `default` also stands for every value that is not there.
    pub branches: BTreeMap<Arc<str>, Arc<str>>,
}

impl Condition {
    /// The sequence for a value; upper and lower case differ.
    pub fn choose(&self, value: &str) -> Option<&Arc<str>> {
        self.branches.get(value).or_else(|| self.branches.get("default"))
    }
}

impl Work {
    /// The sequences it may stand for; none for a job.
    pub fn callees(&self) -> impl Iterator<Item = &Arc<str>> {
        let (one, branches) = match self {
            Self::Job(_) => (None, None),
            Self::Sequence(name) => (Some(name), None),
            Self::Conditional(condition) => (None, Some(condition.branches.values())),
        };
        one.into_iter().chain(branches.into_iter().flatten())
    }
}

/// An arg that passes a boundary under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// Its name where it comes from.
    pub from: Arc<str>,
    /// Its name where it goes.
    pub to: Arc<str>,
}
