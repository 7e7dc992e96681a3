//! The static checks of nodes; `N1` to `N28` are the rows of `reference/spin-cycle.md` 2.6. Those of `each` are in
//! [`each_checks`], those of calls in [`call_checks`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Position, Rule, Wait, call_checks,
    checks::set_name,
    decode::items,
    each_checks,
    finding::SequenceFindings,
    grammar::{Category, Node, Sequence},
    nearest::{did_you_mean, nearest},
    parse::Parsed,
    words::{duplicated, invalid, missing, null},
    yaml::{Marked, Text},
};

/// Checks every node of a sequence.
pub(super) fn check<'a>(body: &'a Sequence, parsed: &Parsed, findings: &mut SequenceFindings<'a>) {
    for (name, node) in body.nodes.iter().flat_map(|nodes| &nodes.0) {
        findings.at_node(&name.value);
        match node {
            Some(node) => check_node(node, name.at, parsed, findings),
            None => findings.error(Rule::N1, name.at, "the node is empty: it has at least a category"),
        }
    }
    findings.at_sequence();
}

fn check_node(node: &Node, at: Position, parsed: &Parsed, findings: &mut SequenceFindings<'_>) {
    match check_category(node, at, findings) {
        Some(Category::Conditional) => check_conditional(node, at, findings),
        Some(Category::Job | Category::Sequence) => check_nonconditional(node, at, findings),
        None => {}
    }
    call_checks::check(node, parsed, findings);
    check_args(node, findings);
    each_checks::check(node, findings);
    check_sets(node, findings);
    check_retry(node, findings);
    for dep in node.deps.iter().flatten().filter(|dep| dep.value.is_none()) {
        findings.error(Rule::G4, dep.at, null("deps", "the name of a node"));
    }
}

/// N1 and N2. What else a node needs depends on its category: of one that is missing or misspelt it is guessed, and where nothing
/// can be guessed it is not asked for.
fn check_category(node: &Node, at: Position, findings: &mut SequenceFindings<'_>) -> Option<Category> {
    const EXPECTED: &str = "job, sequence or conditional";
    match &node.category {
        None => {
            findings.error(Rule::N1, at, missing("category", EXPECTED));
            let conditional = node.condition.is_some() || node.branches.is_some();
            (conditional && node.kind.is_none()).then_some(Category::Conditional)
        }
        Some(written) => node.category().or_else(|| {
            let message = invalid("category", &written.value, EXPECTED);
            let near = did_you_mean(&written.value, Category::NAMES);
            findings.error(Rule::N2, written.at, message + &near);
            nearest(&written.value, Category::NAMES).and_then(Category::named)
        }),
    }
}

/// N12, N21, N22.
fn check_nonconditional(node: &Node, at: Position, findings: &mut SequenceFindings<'_>) {
    if let Some(condition) = &node.condition {
        findings.error(Rule::N21, condition.at, "field 'if' is for conditionals only");
    }
    if let Some(branches) = &node.branches {
        findings.error(Rule::N22, branches.at, "field 'eq' is for conditionals only");
    }
    if node.kind.as_ref().is_none_or(|kind| kind.value.is_empty()) {
        findings.error(Rule::N12, at, missing("type", "the job type, or the name of the sequence"));
    }
}

/// N10, N11, N20.
fn check_conditional(node: &Node, at: Position, findings: &mut SequenceFindings<'_>) {
    if let Some(kind) = &node.kind {
        let message = "field 'type' is not for conditionals: 'eq' names the sequences";
        findings.error(Rule::N20, kind.at, message);
    }
    if node.condition.as_ref().is_none_or(|condition| condition.value.is_empty()) {
        findings.error(Rule::N10, at, missing("if", "the arg whose value chooses the sequence"));
    }
    if node.branches.as_ref().is_none_or(|branches| branches.value.0.is_empty()) {
        findings.error(Rule::N11, at, missing("eq", "a sequence for each value of the arg"));
    }
}

/// N5, N6, N16, N25.
fn check_args(node: &Node, findings: &mut SequenceFindings<'_>) {
    let mut seen = BTreeSet::new();
    let mut renamed = BTreeMap::<&str, &str>::new();
    for arg in node.args.iter().flatten() {
        let Marked { value: Some(arg), at } = arg else {
            findings.error(Rule::N5, arg.at, null("args", "'expected' and 'given'"));
            continue;
        };
        let Some(name) = arg.expected.as_ref().filter(|name| !name.value.is_empty()) else {
            let message = missing("args.expected", "the name under which the node gets the arg");
            findings.error(Rule::N6, *at, message);
            continue;
        };
        if !seen.insert(name.value.as_str()) {
            let message = duplicated("args.expected", &name.value, "a node gets an arg once");
            findings.error(Rule::N16, name.at, message);
        }
        let given = arg.given.as_ref().unwrap_or(name);
        let first = *renamed.entry(&given.value).or_insert(&name.value);
        if first != name.value {
            let message = format!("arg '{}' is given both as '{first}' and as '{}'", given.value, name.value);
            findings.warning(Rule::N25, given.at, message);
        }
    }
}

/// N7, N8, N19, N27.
fn check_sets(node: &Node, findings: &mut SequenceFindings<'_>) {
    let mut seen = BTreeSet::new();
    let mut renamed = BTreeMap::<&str, &str>::new();
    for set in node.sets.iter().flatten() {
        let Marked { value: Some(set), at } = set else {
            findings.error(Rule::N7, set.at, null("sets", "'arg' and 'as'"));
            continue;
        };
        let Some(arg) = set.arg.as_ref().filter(|arg| !arg.value.is_empty()) else {
            findings.error(Rule::N8, *at, missing("sets.arg", "the name of an arg the node sets"));
            continue;
        };
        let name = set_name(set).unwrap_or(arg);
        if !seen.insert(name.value.as_str()) {
            let message = duplicated("sets.as", &name.value, "a node hands an arg back once");
            findings.error(Rule::N19, name.at, message);
        }
        let first = *renamed.entry(&arg.value).or_insert(&name.value);
        if first != name.value {
            let message =
                format!("arg '{}' is handed back both as '{first}' and as '{}'", arg.value, name.value);
            findings.warning(Rule::N27, name.at, message);
        }
    }
}

/// N13, N23.
fn check_retry(node: &Node, findings: &mut SequenceFindings<'_>) {
    let Some(wait) = node.retry_wait.as_ref().filter(|wait| !wait.value.is_empty()) else { return };
    if Wait::try_from(Arc::from(wait.value.as_str())).is_err() {
        let message = invalid("retryWait", &wait.value, "a duration such as 500ms, 3s or 1h30m");
        findings.error(Rule::N13, wait.at, message);
    }
    if node.retry.as_ref().is_none_or(|retry| retry.value == 0) {
        findings.error(Rule::N23, wait.at, "field 'retryWait' without 'retry': nothing is waited for");
    }
}

/// The names under which a node is given args: those it lists, and the elements of its lists.
pub(super) fn passed(node: &Node) -> impl Iterator<Item = (&str, Position)> {
    let elements = each_checks::entries(node).map(|entry| (entry.element, entry.at));
    expected(node).map(|name| (name.value.as_str(), name.at)).chain(elements)
}

/// The names under which a node lists args.
pub(super) fn expected(node: &Node) -> impl Iterator<Item = &Text> {
    items(node.args.as_ref()).filter_map(|arg| arg.expected.as_ref())
}
