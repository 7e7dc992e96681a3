//! `G4`: nodes stand behind all they depend on.

use std::collections::BTreeSet;

use super::{
    Position, Rule,
    finding::SequenceFindings,
    grammar::{Node, Sequence},
    nearest::did_you_mean,
    words::invalid,
    yaml::Text,
};

/// A node and its name.
pub(super) type NamedNode<'a> = (&'a Text, &'a Node);

/// Puts each node behind all it depends on, otherwise in the order of the file; `None` when a dependency is no node, or they
/// go round in a circle.
pub(super) fn order_nodes<'a>(
    body: &'a Sequence,
    findings: &mut SequenceFindings<'a>,
) -> Option<Vec<NamedNode<'a>>> {
    let names: BTreeSet<&str> = nodes(body).map(|(name, _)| name.value.as_str()).collect();
    for (name, node) in nodes(body) {
        findings.at_node(&name.value);
        for (dep, at) in deps(node).filter(|(dep, _)| !names.contains(dep)) {
            let others = names.iter().copied().filter(|other| *other != name.value);
            let message = invalid("deps", dep, "the name of a node of this sequence");
            findings.error(Rule::G4, at, message + &did_you_mean(dep, others));
        }
    }
    findings.at_sequence();
    let mut left: Vec<_> = nodes(body).collect();
    let mut placed = BTreeSet::new();
    let mut order = Vec::with_capacity(left.len());
    // What is unknown was told, and holds up nothing.
    let holds_up = |dep: &str, placed: &BTreeSet<&str>| names.contains(dep) && !placed.contains(dep);
    while !left.is_empty() {
        let is_ready = |(_, node): &NamedNode<'_>| deps(node).all(|(dep, _)| !holds_up(dep, &placed));
        let Some(next) = left.iter().position(is_ready) else {
            report_circle(left, findings);
            return None;
        };
        let (name, node) = left.remove(next);
        placed.insert(name.value.as_str());
        order.push((name, node));
    }
    findings.is_clean().then_some(order)
}

/// Reports those of the nodes that cannot be placed that others of them wait for, at the first: those are in a circle or between two, the
/// rest merely behind one.
fn report_circle(mut left: Vec<NamedNode<'_>>, findings: &mut SequenceFindings<'_>) {
    loop {
        let awaited: BTreeSet<&str> =
            left.iter().flat_map(|(_, node)| deps(node)).map(|(dep, _)| dep).collect();
        let before = left.len();
        left.retain(|(name, _)| awaited.contains(name.value.as_str()));
        if left.len() == before {
            break;
        }
    }
    let Some((first, _)) = left.first() else { return };
    let at = first.at;
    let names: Vec<&str> = left.iter().map(|(name, _)| name.value.as_str()).collect();
    findings.error(Rule::G4, at, format!("cyclical dependencies found amongst: [{}]", names.join(" ")));
}

/// The nodes of a sequence that are not empty.
pub(super) fn nodes(body: &Sequence) -> impl Iterator<Item = NamedNode<'_>> {
    body.nodes.iter().flat_map(|nodes| &nodes.0).filter_map(|(name, node)| Some((name, node.as_ref()?)))
}

/// The names a node depends on, and where they stand.
pub(super) fn deps(node: &Node) -> impl Iterator<Item = (&str, Position)> {
    node.deps.iter().flatten().filter_map(|dep| Some((dep.value.as_deref()?, dep.at)))
}
