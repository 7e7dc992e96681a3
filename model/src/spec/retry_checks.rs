//! `G9`, a warning: what is tried again whole holds a sequence that is tried again itself. Any failure inside counts for both,
//! so the tries multiply.

use std::collections::BTreeSet;

use super::{
    Node, Rule, Sequence, Work, call_order::callees, finding::SequenceFindings, grammar,
    graph_checks::Checked,
};

/// Looks for retries of sequences inside the sequence that a node tries again.
pub(super) fn check(node: &grammar::Node, checked: &Checked, findings: &mut SequenceFindings<'_>) {
    let Some(outer) = node.retry.as_ref().filter(|retry| retry.value > 0) else { return };
    let called = callees(node).filter_map(|name| checked.get(name.value.as_str())?.as_ref());
    if let Some((inside, inner)) = retried(called.collect(), checked) {
        let message = format!(
            "'retry: {}' encloses 'retry: {}' of node {} in sequence '{}': what fails there is tried up to {} times",
            outer.value,
            inner.retry,
            inner.name,
            inside.name,
            (u64::from(outer.value) + 1) * (u64::from(inner.retry) + 1),
        );
        findings.warning(Rule::G9, outer.at, message);
    }
}

/// A node that tries a sequence again, in these sequences or in what they call.
fn retried<'a>(mut left: Vec<&'a Sequence>, checked: &'a Checked) -> Option<(&'a Sequence, &'a Node)> {
    let mut seen: BTreeSet<&str> = left.iter().map(|sequence| &*sequence.name).collect();
    while let Some(sequence) = left.pop() {
        let tries_again = |node: &&Node| node.retry > 0 && !matches!(node.work, Work::Job(_));
        if let Some(node) = sequence.nodes.iter().find(tries_again) {
            return Some((sequence, node));
        }
        for name in sequence.nodes.iter().flat_map(|node| node.work.callees()) {
            if let Some(callee) = checked.get(name).and_then(Option::as_ref)
                && seen.insert(name)
            {
                left.push(callee);
            }
        }
    }
    None
}
