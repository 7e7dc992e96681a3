//! The sequences of a request in the making, and what their nodes are given and hand back.

use std::sync::Arc;

use super::{BuildError, EachError, NodePath, each::Elements, plan::Span};
use crate::{
    spec::{Condition, Node, Rename, Specs, Work},
    workflow::{
        chain::{JOBS_MAX, SequencePlace},
        json::{JsonMap, JsonText},
    },
};

/// All sequences that were begun, in that order; the first is the request's own.
pub(super) struct Calls {
    pub(super) specs: Arc<Specs>,
    pub(super) list: Vec<Call>,
}

/// A sequence in the making.
pub(super) struct Call {
    pub(super) name: Arc<str>,
    /// What calls it; `None` for the request's own.
    pub(super) caller: Option<ExpansionAt>,
    pub(super) sequence: SequencePlace,
    /// The jobs around all of it.
    pub(super) outer: Span,
    /// The jobs around its nodes.
    pub(super) inner: Span,
    /// The args it began with.
    pub(super) args: JsonMap,
    pub(super) nodes: Vec<NodeProgress>,
    pub(super) nodes_left: usize,
}

#[derive(Default)]
pub(super) struct NodeProgress {
    pub(super) deps_left: usize,
    /// What its expansions were built as, in the order of their list.
    pub(super) expansions: Vec<Option<Span>>,
    pub(super) expansions_left: usize,
    /// The jobs around all expansions, when there are several.
    pub(super) around: Option<Around>,
    /// What it was built as.
    pub(super) span: Option<Span>,
    /// What it handed back, under the sequence's names.
    pub(super) exports: JsonMap,
}

/// The two pairs of jobs around expansions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Around {
    pub(super) outer: Span,
    pub(super) inner: Span,
}

/// A node of a sequence in the making.
#[derive(Debug, Clone, Copy)]
pub(super) struct NodeAt {
    pub(super) call: usize,
    pub(super) node: usize,
}

/// One of the things a node is expanded into; without `each` the only one.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExpansionAt {
    pub(super) node: NodeAt,
    pub(super) number: usize,
}

impl Calls {
    /// The lists of a node, read; too long ones are refused before anything is made of them.
    pub(super) fn elements(&self, at: NodeAt, node: &Node) -> Result<Elements, BuildError> {
        let list = |arg: &Arc<str>| {
            self.arg_of(at, node, arg).cloned().ok_or_else(|| EachFault::Build(self.not_set(at, node, arg)))
        };
        let elements = Elements::read(&node.each, list).map_err(|fault| match fault {
            EachFault::Each(reason) => BuildError::Each { path: self.path(Some(at)), reason },
            EachFault::Build(error) => error,
        })?;
        if elements.len() > JOBS_MAX { Err(BuildError::TooManyJobs) } else { Ok(elements) }
    }

    pub(super) fn choose(
        &self,
        at: NodeAt,
        condition: &Condition,
        value: &JsonText,
    ) -> Result<Arc<str>, BuildError> {
        let arg = condition.arg.clone();
        let Some(value) = value.to_text() else {
            return Err(BuildError::ConditionNotText { path: self.path(Some(at)), arg });
        };
        condition.choose(&value).cloned().ok_or_else(|| {
            let options = condition.branches.keys().cloned().collect();
            BuildError::NoBranch { path: self.path(Some(at)), arg, value, options }
        })
    }

    /// The args a node is given: what it lists, from the sequence's own and what its ancestors set.
    pub(super) fn args_of(&self, at: NodeAt, node: &Node) -> Result<JsonMap, BuildError> {
        let give = |Rename { from, to }: &Rename| match self.arg_of(at, node, from) {
            Some(value) => Ok((to.clone(), value.clone())),
            None => Err(self.not_set(at, node, from)),
        };
        node.args.iter().map(give).collect()
    }

    /// The value of a sequence's arg, as a node sees it.
    pub(super) fn arg_of(&self, at: NodeAt, node: &Node, arg: &str) -> Option<&JsonText> {
        let call = &self.list[at.call];
        let set_before =
            node.ancestors.iter().rev().find_map(|ancestor| call.nodes[*ancestor].exports.get(arg));
        set_before.or_else(|| call.args.get(arg))
    }

    pub(super) fn not_set(&self, at: NodeAt, node: &Node, arg: &Arc<str>) -> BuildError {
        BuildError::ArgNotSet { path: self.path(Some(at)), job_type: work_name(node), arg: arg.clone() }
    }

    pub(super) fn exports_of(&self, at: NodeAt, node: &Node, args: &JsonMap) -> Result<JsonMap, BuildError> {
        let export = |Rename { from, to }: &Rename| match args.get(from) {
            Some(value) => Ok((to.clone(), value.clone())),
            None => Err(BuildError::SetMissing {
                path: self.path(self.list[at.call].caller.map(|caller| caller.node)),
                job_type: work_name(node),
                arg: from.clone(),
            }),
        };
        node.sets.iter().map(export).collect()
    }

    pub(super) fn spec_of<'s>(&self, specs: &'s Specs, at: NodeAt) -> &'s Node {
        let sequence = specs.callee(&self.list[at.call].name);
        &sequence.expect("loaded specs call only sequences that exist").nodes[at.node]
    }

    /// Where a node stands, from the request inwards.
    pub(super) fn path(&self, at: Option<NodeAt>) -> NodePath {
        let specs = self.specs.clone();
        let caller = |at: &NodeAt| self.list[at.call].caller.map(|caller| caller.node);
        let mut path: Vec<_> = std::iter::successors(at, caller)
            .map(|at| (self.list[at.call].name.clone(), self.spec_of(&specs, at).name.clone()))
            .collect();
        path.reverse();
        NodePath(path)
    }
}

/// Why the lists of a node cannot be read.
enum EachFault {
    Each(EachError),
    Build(BuildError),
}

impl From<EachError> for EachFault {
    fn from(error: EachError) -> Self {
        Self::Each(error)
    }
}

/// The job type or sequence a node stands for; for a conditional, its name.
fn work_name(node: &Node) -> Arc<str> {
    match &node.work {
        Work::Job(name) | Work::Sequence(name) => name.clone(),
        Work::Conditional(_) => node.name.clone(),
    }
}
