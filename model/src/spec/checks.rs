//! The static checks of sequences; `S1` to `S12` are the rows of `reference/spin-cycle.md` 2.5.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Findings, Position, SequenceFindings,
    grammar::{AclEntry, Arg, Args, NodeSet, Ops, Sequence},
    node_checks,
    parse::Parsed,
    timing_checks,
    yaml::{Marked, Text, items},
};

/// Checks every sequence by itself, and every node.
pub(super) fn check(parsed: &Parsed, findings: &mut Findings) {
    for sequence in parsed.values() {
        let mut findings = findings.of(sequence);
        let body = &sequence.body;
        check_args(body.args.as_ref(), &mut findings);
        check_acl(body.acl.as_deref().unwrap_or_default(), &mut findings);
        if body.nodes.as_ref().is_none_or(|nodes| nodes.0.is_empty()) {
            findings.error(sequence.at, missing("nodes", "a sequence has at least one node")); // S11
        }
        check_sets_unique(body, &mut findings);
        timing_checks::check_sequence(body, &mut findings);
        node_checks::check(body, parsed, &mut findings);
    }
}

/// S1 to S5, S9, S10.
fn check_args(args: Option<&Args>, findings: &mut SequenceFindings<'_>) {
    let Some(args) = args else { return };
    let kinds = [("required", &args.required), ("optional", &args.optional), ("static", &args.fixed)];
    let mut names = BTreeSet::new();
    for (kind, list) in kinds {
        for arg in list.iter().flatten() {
            let Some(fields) = &arg.value else {
                findings.error(arg.at, null(&format!("args.{kind}"), "an arg"));
                continue;
            };
            check_arg(kind, fields, arg.at, findings);
            if let Some(name) = &fields.name
                && !names.insert(name.value.as_str())
            {
                findings.error(name.at, duplicated("args", &name.value, "an arg is declared once"));
            }
        }
    }
}

fn check_arg(kind: &str, arg: &Arg, at: Position, findings: &mut SequenceFindings<'_>) {
    let Some(name) = arg.name.as_ref().filter(|name| !name.value.is_empty()) else {
        findings.error(at, missing(&format!("args.{kind}.name"), "an arg has a name"));
        return;
    };
    match (kind, &arg.default) {
        ("required", Some(default)) => {
            let message =
                format!("required arg '{}' has a default; only optional and static args do", name.value);
            findings.error(default.at, message);
        }
        ("required", None) | (_, Some(_)) => {}
        (_, None) => {
            let why = format!("{kind} arg '{}' needs one", name.value);
            findings.error(name.at, missing(&format!("args.{kind}.default"), &why));
        }
    }
}

/// S6 to S8.
fn check_acl(acl: &[Marked<Option<AclEntry>>], findings: &mut SequenceFindings<'_>) {
    let mut roles = BTreeSet::new();
    for entry in acl {
        let Marked { value: Some(entry), at } = entry else {
            findings.error(entry.at, null("acl", "a role and its operations"));
            continue;
        };
        let admin = entry.admin.as_ref().is_some_and(|admin| admin.value);
        let ops = matches!(&entry.ops, Some(Ops::Listed(ops)) if !ops.is_empty());
        if admin && ops {
            findings.error(*at, "'admin: true' and 'ops' exclude each other: an admin may do everything");
        }
        match entry.role.as_ref().filter(|role| !role.value.is_empty()) {
            None => findings.error(*at, missing("acl.role", "an entry names the role it is about")),
            Some(role) if !roles.insert(role.value.as_str()) => {
                findings.error(role.at, duplicated("acl.role", &role.value, "a role has one entry"));
            }
            Some(_) => {}
        }
    }
}

/// S12, a warning: two nodes set the same arg, or one sets a declared arg.
fn check_sets_unique(body: &Sequence, findings: &mut SequenceFindings<'_>) {
    let mut setters: BTreeMap<&str, &str> = declared(body).map(|arg| (arg, "the sequence's args")).collect();
    for (node, fields) in body.nodes.iter().flat_map(|nodes| &nodes.0) {
        let mut own = BTreeSet::new();
        for name in fields.iter().flat_map(|fields| items(fields.sets.as_ref())).filter_map(set_name) {
            if let Some(first) = setters.get(name.value.as_str()) {
                let message = format!("node {}: arg '{}' is also set by {first}", node.value, name.value);
                findings.warning(name.at, message);
            }
            own.insert(name.value.as_str());
        }
        for name in own {
            setters.entry(name).or_insert(node.value.as_str());
        }
    }
}

/// The name under which a node hands an arg back.
pub(super) fn set_name(set: &NodeSet) -> Option<&Text> {
    set.renamed.as_ref().or(set.arg.as_ref())
}

/// The names of all args a sequence declares.
pub(super) fn declared(body: &Sequence) -> impl Iterator<Item = &str> {
    body.args
        .iter()
        .flat_map(|args| [&args.required, &args.optional, &args.fixed])
        .flat_map(|list| items(list.as_ref()))
        .filter_map(|arg| arg.name.as_ref())
        .map(|name| name.value.as_str())
}

pub(super) fn invalid(field: &str, value: &str, expected: &str) -> String {
    format!("invalid value \"{value}\" in field '{field}', expected {expected}")
}

pub(super) fn missing(field: &str, why: &str) -> String {
    format!("field '{field}' missing: {why}")
}

pub(super) fn duplicated(field: &str, value: &str, why: &str) -> String {
    format!("value \"{value}\" duplicated in field '{field}': {why}")
}

pub(super) fn null(field: &str, expected: &str) -> String {
    format!("a null in field '{field}', expected {expected}")
}
