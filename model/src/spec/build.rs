//! From the grammar to a checked sequence.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
    sync::Arc,
};

use super::{
    AclRule, Arg, ArgKind, Condition, Node, Rename, Sequence, Wait, Work,
    decode::items,
    each_checks,
    grammar::{self, Category, Ops},
    node_order::{NamedNode, deps},
    parse::ParsedSequence,
    yaml::Text,
};

/// Builds a sequence that passed the static checks; its nodes are given in an order their dependencies allow.
pub(super) fn build(sequence: &ParsedSequence, order: &[NamedNode<'_>]) -> Sequence {
    let body = &sequence.body;
    let places: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(place, (name, _))| (name.value.as_str(), place)).collect();
    let mut nodes: Vec<Node> = order.iter().map(|(name, node)| build_node(name, node, &places)).collect();
    note_ancestors(&mut nodes);
    Sequence {
        name: sequence.name.clone(),
        is_request: body.request == Some(true),
        args: build_args(body),
        acl: items(body.acl.as_ref()).map(build_rule).collect(),
        nodes,
    }
}

/// Notes every node's ancestors; nodes stand behind all they depend on.
fn note_ancestors(nodes: &mut [Node]) {
    for place in 0..nodes.len() {
        let (before, node) = nodes.split_at_mut(place);
        let node = &mut node[0];
        let of_deps = node.deps.iter().flat_map(|dep| before[*dep].ancestors.iter().copied());
        let ancestors: BTreeSet<usize> = of_deps.chain(node.deps.iter().copied()).collect();
        node.ancestors = ancestors.into_iter().collect();
    }
}

fn build_args(body: &grammar::Sequence) -> Vec<Arg> {
    let Some(args) = &body.args else { return Vec::new() };
    let kinds = [
        (ArgKind::Required, &args.required),
        (ArgKind::Optional, &args.optional),
        (ArgKind::Static, &args.fixed),
    ];
    let arg = |kind, arg: &grammar::Arg| Arg {
        name: text(arg.name.as_ref()),
        desc: text(arg.desc.as_ref()),
        kind,
        default: arg.default.as_ref().map(|default| default.value.as_str().into()),
    };
    kinds
        .into_iter()
        .flat_map(|(kind, list)| items(list.as_ref()).map(move |declared| arg(kind, declared)))
        .collect()
}

fn build_rule(entry: &grammar::AclEntry) -> AclRule {
    let listed = match &entry.ops {
        Some(Ops::Listed(ops)) => ops.iter().map(|op| op.value.as_str().into()).collect(),
        Some(Ops::Admin) | None => Vec::new(),
    };
    AclRule {
        role: text(entry.role.as_ref()),
        admin: matches!(entry.ops, Some(Ops::Admin)) || entry.admin == Some(true),
        ops: listed,
    }
}

fn build_node(name: &Text, node: &grammar::Node, places: &BTreeMap<&str, usize>) -> Node {
    let rename =
        |from: &Text, to: &Text| Rename { from: from.value.as_str().into(), to: to.value.as_str().into() };
    let given = |arg: &grammar::NodeArg| {
        let expected = arg.expected.as_ref()?;
        Some(rename(arg.given.as_ref().unwrap_or(expected), expected))
    };
    let handed_back = |set: &grammar::NodeSet| {
        let arg = set.arg.as_ref()?;
        Some(rename(arg, set.renamed.as_ref().unwrap_or(arg)))
    };
    let retry = node.retry.as_ref().map_or(0, |retry| retry.value);
    let written_wait =
        node.retry_wait.as_ref().and_then(|wait| Wait::try_from(Arc::from(wait.value.as_str())).ok());
    let deps: BTreeSet<usize> = deps(node).map(|(dep, _)| places[dep]).collect();
    Node {
        name: name.value.as_str().into(),
        work: build_work(node),
        args: items(node.args.as_ref()).filter_map(given).collect(),
        sets: items(node.sets.as_ref()).filter_map(handed_back).collect(),
        each: each_checks::entries(node)
            .map(|entry| Rename { from: entry.list.into(), to: entry.element.into() })
            .collect(),
        parallel: node.parallel.as_ref().and_then(|parallel| NonZeroU32::new(parallel.value)),
        deps: deps.into_iter().collect(),
        ancestors: Vec::new(),
        retry,
        retry_wait: written_wait.or_else(|| (retry > 0).then(Wait::zero)),
    }
}

fn build_work(node: &grammar::Node) -> Work {
    let kind = text(node.kind.as_ref());
    match node.category() {
        Some(Category::Sequence) => Work::Sequence(kind),
        Some(Category::Conditional) => {
            let branches = node.branches.iter().flat_map(|branches| &branches.value.0);
            let branch = |(value, target): &(Text, Option<Text>)| {
                Some((value.value.as_str().into(), target.as_ref()?.value.as_str().into()))
            };
            Work::Conditional(Condition {
                arg: text(node.condition.as_ref()),
                branches: branches.filter_map(branch).collect(),
            })
        }
        Some(Category::Job) | None => Work::Job(kind),
    }
}

fn text(text: Option<&Text>) -> Arc<str> {
    text.map_or("", |text| text.value.as_str()).into()
}
