//! `G5`: sequences stand behind all they call.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Rule,
    finding::Findings,
    grammar::{Category, Node},
    node_order::nodes,
    parse::{Parsed, ParsedSequence},
    yaml::Text,
};

/// The sequences in an order in which none calls a later one; those of a circle, and their callers, are reported and left out.
/// A sequence that does not fit the grammar calls nothing that is known.
pub(super) fn callees_first<'a>(parsed: &'a Parsed, findings: &mut Findings) -> Vec<&'a ParsedSequence> {
    let mut callers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut calls: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, sequence) in parsed.sequences.iter().filter(|(_, sequence)| sequence.is_whole) {
        let called: BTreeSet<&str> = nodes(&sequence.body)
            .flat_map(|(_, node)| callees(node))
            .map(|called| called.value.as_str())
            .filter(|called| parsed.sequences.get(*called).is_some_and(|called| called.is_whole))
            .collect();
        calls.insert(name, called.len());
        for callee in called {
            callers.entry(callee).or_default().push(name);
        }
    }
    let mut ready: Vec<&str> = calls.iter().filter(|(_, left)| **left == 0).map(|(name, _)| *name).collect();
    let mut order = Vec::new();
    while let Some(name) = ready.pop() {
        calls.remove(name);
        order.push(&parsed.sequences[name]);
        for caller in callers.get(name).into_iter().flatten() {
            let left = calls.get_mut(caller).expect("a sequence is ordered after all it calls");
            *left -= 1;
            if *left == 0 {
                ready.push(caller);
            }
        }
    }
    let circle = calls.keys().copied().collect::<Vec<_>>().join(", ");
    for name in calls.keys() {
        let sequence = &parsed.sequences[*name];
        let message = format!("part of cyclical dependency among sequences: {circle}");
        findings.of(sequence).error(Rule::G5, sequence.at, message);
    }
    order
}

/// The sequences a node may call, as it names them.
pub(super) fn callees(node: &Node) -> impl Iterator<Item = &Text> {
    let category = node.category();
    let called = node.kind.as_ref().filter(|_| category == Some(Category::Sequence));
    let branches = node.branches.as_ref().filter(|_| category == Some(Category::Conditional));
    let targets =
        branches.into_iter().flat_map(|branches| &branches.value.0).filter_map(|(_, to)| to.as_ref());
    called.into_iter().chain(targets)
}
