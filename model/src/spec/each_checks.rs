//! The static checks of `each` and `parallel`, which expand a node over lists.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Position, Rule,
    decode::items,
    finding::SequenceFindings,
    grammar::Node,
    node_checks::expected,
    words::{duplicated, invalid, null},
};

/// One entry of `each`: `list:element`.
#[derive(Debug, Clone, Copy)]
pub(super) struct EachEntry<'a> {
    /// The arg that holds the list.
    pub(super) list: &'a str,
    /// The arg that holds an element of it.
    pub(super) element: &'a str,
    pub(super) at: Position,
}

/// The entries of a node's `each` that can be read.
pub(super) fn entries(node: &Node) -> impl Iterator<Item = EachEntry<'_>> {
    let written = node.each.iter().flat_map(|each| &each.value);
    written.filter_map(|entry| split(entry.value.as_deref()?, entry.at))
}

/// Takes an entry apart at its only colon.
fn split(text: &str, at: Position) -> Option<EachEntry<'_>> {
    let (list, element) = text.split_once(':')?;
    (!element.contains(':')).then_some(EachEntry { list, element, at })
}

/// N4, N9, N15, N17, N18, N24, N26.
pub(super) fn check(node: &Node, findings: &mut SequenceFindings<'_>) {
    check_parallel(node, findings);
    for entry in node.each.iter().flat_map(|each| &each.value) {
        match &entry.value {
            None => findings.error(Rule::N4, entry.at, null("each", "'list:element'")),
            Some(text) if split(text, entry.at).is_none() => {
                let message = invalid("each", text, "'list:element', with one colon");
                findings.error(Rule::N4, entry.at, message);
            }
            Some(_) => {}
        }
    }
    let listed: BTreeSet<&str> = expected(node).map(|name| name.value.as_str()).collect();
    let given: BTreeSet<&str> = items(node.args.as_ref())
        .filter_map(|arg| arg.given.as_ref().or(arg.expected.as_ref()))
        .map(|given| given.value.as_str())
        .collect();
    let mut elements = BTreeSet::new();
    let mut lists = BTreeMap::<&str, &str>::new();
    for EachEntry { list, element, at } in entries(node) {
        if !elements.insert(element) {
            findings.error(Rule::N15, at, duplicated("each", element, "an element has one list"));
        }
        if listed.contains(element) {
            let message = duplicated("each", element, "'args' gives the node an arg of this name");
            findings.error(Rule::N17, at, message);
        }
        let first = *lists.entry(list).or_insert(element);
        if first != element {
            let message = format!("list '{list}' is expanded both as '{first}' and as '{element}'");
            findings.warning(Rule::N24, at, message);
        }
        if given.contains(list) {
            let message = format!("list '{list}' is expanded, and also passed as a whole");
            findings.warning(Rule::N26, at, message);
        }
    }
}

fn check_parallel(node: &Node, findings: &mut SequenceFindings<'_>) {
    let Some(parallel) = &node.parallel else { return };
    if parallel.value == 0 {
        findings.error(Rule::N9, parallel.at, invalid("parallel", "0", "a number above 0"));
    }
    if node.each.is_none() {
        let message = "field 'parallel' without 'each': there is nothing to limit";
        findings.error(Rule::N18, parallel.at, message);
    }
}
