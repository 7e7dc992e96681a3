//! The static checks of nodes; `N1` to `N28` are the rows of `reference/spin-cycle.md` 2.6.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    NOOP, Position, SequenceFindings, Wait,
    checks::{duplicated, invalid, missing, null, set_name},
    each_checks,
    grammar::{Arg, Node, Sequence},
    parse::Parsed,
    timing_checks,
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
    check_category(node, at, parsed, findings);
    check_args(node, findings);
    each_checks::check(node, findings);
    check_sets(node, findings);
    check_retry(node, findings);
    timing_checks::check_node(node, findings);
    for dep in node.deps.iter().flatten().filter(|dep| dep.value.is_none()) {
        findings.error(dep.at, null("deps", "the name of a node"));
    }
}

/// N1 and N2; what else a node needs depends on its category.
fn check_category(node: &Node, at: Position, parsed: &Parsed, findings: &mut SequenceFindings<'_>) {
    match &node.category {
        None => findings.error(at, missing("category", "job, sequence or conditional")),
        Some(category) => match category.value.as_str() {
            "job" | "sequence" => {}
            "conditional" => return check_conditional(node, at, parsed, findings),
            other => {
                findings.error(category.at, invalid("category", other, "job, sequence or conditional"));
            }
        },
    }
    check_nonconditional(node, at, parsed, findings);
}

/// N3, N12, N21, N22.
fn check_nonconditional(node: &Node, at: Position, parsed: &Parsed, findings: &mut SequenceFindings<'_>) {
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
    if node.category.as_ref().is_some_and(|category| category.value == "sequence") {
        match parsed.get(kind.value.as_str()) {
            None => findings.error(kind.at, invalid("type", &kind.value, "the name of a sequence")),
            Some(called) => check_call(node, &[(kind, Some(&called.body))], findings),
        }
    }
}

/// N3, N10, N11, N20.
fn check_conditional(node: &Node, at: Position, parsed: &Parsed, findings: &mut SequenceFindings<'_>) {
    if let Some(kind) = &node.kind {
        findings.error(kind.at, "field 'type' is not for conditionals: 'eq' names the sequences");
    }
    if node.condition.as_ref().is_none_or(|condition| condition.value.is_empty()) {
        findings.error(at, missing("if", "the arg whose value chooses the sequence"));
    }
    let branches = node.branches.as_ref().map(|branches| &branches.value.0[..]).unwrap_or_default();
    if branches.is_empty() {
        findings.error(at, missing("eq", "a sequence for each value of the arg"));
    }
    let mut callable = Vec::new();
    for (value, target) in branches {
        let Some(target) = target.as_ref().filter(|target| !target.value.is_empty()) else {
            findings.error(value.at, null("eq", "the name of a sequence"));
            continue;
        };
        match parsed.get(target.value.as_str()) {
            Some(called) => callable.push((target, Some(&called.body))),
            None if target.value == NOOP => callable.push((target, None)),
            None => findings.error(target.at, invalid("eq", &target.value, "the name of a sequence")),
        }
    }
    check_call(node, &callable, findings);
}

/// N14 and N28: the args a call passes against those the sequences it may call declare. The built-in one has no body.
fn check_call(node: &Node, callable: &[(&Text, Option<&Sequence>)], findings: &mut SequenceFindings<'_>) {
    let passed: BTreeMap<&str, Position> = passed(node).collect();
    let mut accepted = BTreeSet::new();
    for (name, called) in callable {
        let Some(args) = called.and_then(|called| called.args.as_ref()) else { continue };
        let required = names(args.required.as_ref());
        for arg in required.iter().filter(|arg| !passed.contains_key(*arg)) {
            let message = format!("required arg '{arg}' of sequence '{}' is not among 'args'", name.value);
            findings.error(name.at, message);
        }
        accepted.extend(required);
        accepted.extend(names(args.optional.as_ref()));
    }
    let called = callable.iter().map(|(name, _)| format!("'{}'", name.value)).collect::<Vec<_>>().join(", ");
    for (arg, at) in passed.iter().filter(|(arg, _)| !accepted.contains(*arg) && !callable.is_empty()) {
        let message =
            format!("arg '{arg}' is passed, but sequence {called} declares no required or optional one");
        findings.warning(*at, message);
    }
}

fn names(args: Option<&List<Arg>>) -> Vec<&str> {
    items(args).filter_map(|arg| arg.name.as_ref()).map(|name| name.value.as_str()).collect()
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

/// The names under which a node is given args: those it lists, and the elements of its lists.
fn passed(node: &Node) -> impl Iterator<Item = (&str, Position)> {
    let elements = each_checks::entries(node).map(|entry| (entry.element, entry.at));
    expected(node).map(|name| (name.value.as_str(), name.at)).chain(elements)
}

/// The names under which a node lists args.
pub(super) fn expected(node: &Node) -> impl Iterator<Item = &Text> {
    items(node.args.as_ref()).filter_map(|arg| arg.expected.as_ref())
}
