//! The static checks of nodes; `N1` to `N28` are the rows of `reference/spin-cycle.md` 2.6.
//!
//! What is not built yet is refused here, so that no spec loads that would run otherwise than it says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Position, SequenceFindings, Wait,
    checks::{duplicated, invalid, missing, null, set_name},
    grammar::{Arg, Node, Sequence},
    parse::Parsed,
    yaml::{List, Marked, Text, items},
};

/// Checks every node of a sequence.
pub(super) fn check(body: &Sequence, parsed: &Parsed, findings: &mut SequenceFindings<'_>) {
    for (name, node) in body.nodes.iter().flat_map(|nodes| &nodes.0) {
        let mut findings = SequenceFindings {
            findings: findings.findings,
            parsed: findings.parsed,
            node: Some(&name.value),
        };
        match node {
            Some(node) => check_node(node, name.at, parsed, &mut findings),
            None => findings.error(name.at, "the node is empty"),
        }
    }
}

fn check_node(node: &Node, at: Position, parsed: &Parsed, findings: &mut SequenceFindings<'_>) {
    check_supported(node, findings);
    check_category(node, at, parsed, findings);
    check_args(node, findings);
    check_sets(node, findings);
    check_retry(node, findings);
    for dep in node.deps.iter().flatten().filter(|dep| dep.value.is_none()) {
        findings.error(dep.at, null("deps", "the name of a node"));
    }
}

fn check_supported(node: &Node, findings: &mut SequenceFindings<'_>) {
    if let Some(each) = &node.each {
        findings.error(each.at, "field 'each' is not supported yet");
    }
    if let Some(parallel) = &node.parallel {
        findings.error(parallel.at, "field 'parallel' is not supported yet");
    }
    if let Some(category) = &node.category
        && category.value == "sequence"
        && let Some(retry) = &node.retry
        && retry.value.0 > 0
    {
        findings.error(retry.at, "field 'retry' of a sequence is not supported yet");
    }
}

/// N1 to N3, N12, N14, N21, N22, N28.
fn check_category(node: &Node, at: Position, parsed: &Parsed, findings: &mut SequenceFindings<'_>) {
    let Some(category) = &node.category else {
        findings.error(at, missing("category", "job, sequence or conditional"));
        return;
    };
    match category.value.as_str() {
        "job" | "sequence" => {}
        "conditional" => {
            findings.error(category.at, "category 'conditional' is not supported yet");
            return;
        }
        other => {
            findings.error(category.at, invalid("category", other, "job, sequence or conditional"));
            return;
        }
    }
    if let Some(condition) = &node.condition {
        findings.error(condition.at, "field 'if' is for conditionals only");
    }
    if let Some(branches) = &node.branches {
        findings.error(branches.at, "field 'eq' is for conditionals only");
    }
    let Some(kind) = node.kind.as_ref().filter(|kind| !kind.value.is_empty()) else {
        findings.error(at, missing("type", "the job type, or the name of the sequence"));
        return;
    };
    if category.value == "sequence" {
        match parsed.get(kind.value.as_str()) {
            None => findings.error(kind.at, invalid("type", &kind.value, "the name of a sequence")),
            Some(called) => check_call(node, kind, &called.body, findings),
        }
    }
}

/// N14 and N28: the args a call passes against those the sequence declares.
fn check_call(node: &Node, kind: &Text, called: &Sequence, findings: &mut SequenceFindings<'_>) {
    let passed: BTreeMap<&str, Position> =
        expected(node).map(|name| (name.value.as_str(), name.at)).collect();
    let Some(args) = &called.args else { return warn_of_extra(&passed, &BTreeSet::new(), kind, findings) };
    let (required, optional) = (names(args.required.as_ref()), names(args.optional.as_ref()));
    for name in required.iter().filter(|name| !passed.contains_key(*name)) {
        let message = format!("required arg '{name}' of sequence '{}' is not among 'args'", kind.value);
        findings.error(kind.at, message);
    }
    let accepted = required.into_iter().chain(optional).collect();
    warn_of_extra(&passed, &accepted, kind, findings);
}

fn names(args: Option<&List<Arg>>) -> Vec<&str> {
    items(args).filter_map(|arg| arg.name.as_ref()).map(|name| name.value.as_str()).collect()
}

fn warn_of_extra(
    passed: &BTreeMap<&str, Position>,
    accepted: &BTreeSet<&str>,
    kind: &Text,
    findings: &mut SequenceFindings<'_>,
) {
    for (name, at) in passed.iter().filter(|(name, _)| !accepted.contains(*name)) {
        let message = format!(
            "arg '{name}' is passed, but sequence '{}' declares no required or optional one",
            kind.value
        );
        findings.warning(*at, message);
    }
}

/// N5, N6, N16, N25.
fn check_args(node: &Node, findings: &mut SequenceFindings<'_>) {
    let mut seen = BTreeSet::new();
    let mut renamed = BTreeMap::<&str, &str>::new();
    for arg in node.args.iter().flatten() {
        let Marked { value: Some(arg), at } = arg else {
            findings.error(arg.at, null("args", "'expected' and 'given'"));
            continue;
        };
        let Some(name) = arg.expected.as_ref().filter(|name| !name.value.is_empty()) else {
            findings.error(*at, missing("args.expected", "the name under which the node gets the arg"));
            continue;
        };
        if !seen.insert(name.value.as_str()) {
            findings.error(name.at, duplicated("args.expected", &name.value, "a node gets an arg once"));
        }
        let given = arg.given.as_ref().unwrap_or(name);
        let first = *renamed.entry(&given.value).or_insert(&name.value);
        if first != name.value {
            let message = format!("arg '{}' is given both as '{first}' and as '{}'", given.value, name.value);
            findings.warning(given.at, message);
        }
    }
}

/// N7, N8, N19, N27.
fn check_sets(node: &Node, findings: &mut SequenceFindings<'_>) {
    let mut seen = BTreeSet::new();
    let mut renamed = BTreeMap::<&str, &str>::new();
    for set in node.sets.iter().flatten() {
        let Marked { value: Some(set), at } = set else {
            findings.error(set.at, null("sets", "'arg' and 'as'"));
            continue;
        };
        let Some(arg) = set.arg.as_ref().filter(|arg| !arg.value.is_empty()) else {
            findings.error(*at, missing("sets.arg", "the name of an arg the node sets"));
            continue;
        };
        let name = set_name(set).unwrap_or(arg);
        if !seen.insert(name.value.as_str()) {
            findings.error(name.at, duplicated("sets.as", &name.value, "a node hands an arg back once"));
        }
        let first = *renamed.entry(&arg.value).or_insert(&name.value);
        if first != name.value {
            let message =
                format!("arg '{}' is handed back both as '{first}' and as '{}'", arg.value, name.value);
            findings.warning(name.at, message);
        }
    }
}

/// N13, N23.
fn check_retry(node: &Node, findings: &mut SequenceFindings<'_>) {
    let Some(wait) = node.retry_wait.as_ref().filter(|wait| !wait.value.is_empty()) else { return };
    if Wait::try_from(Arc::from(wait.value.as_str())).is_err() {
        findings.error(wait.at, invalid("retryWait", &wait.value, "a duration such as 500ms, 3s or 1h30m"));
    }
    if node.retry.as_ref().is_none_or(|retry| retry.value.0 == 0) {
        findings.error(wait.at, "field 'retryWait' without 'retry': nothing is waited for");
    }
}

/// The names under which a node is given args.
pub(super) fn expected(node: &Node) -> impl Iterator<Item = &Text> {
    items(node.args.as_ref()).filter_map(|arg| arg.expected.as_ref())
}
