//! The static checks of sequences; `S1` to `S12` are the rows of `reference/spin-cycle.md` 2.5.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Position, Rule,
    decode::{List, items},
    finding::{Findings, SequenceFindings},
    grammar::{AclEntry, Arg, Args, NodeSet, Ops, Sequence},
    node_checks,
    parse::Parsed,
    words::{duplicated, missing, null},
    yaml::{Marked, Text},
};

/// Checks every sequence that fits the grammar by itself, and every node. Returns those that passed.
pub(super) fn check<'a>(parsed: &'a Parsed, findings: &mut Findings) -> BTreeSet<&'a str> {
    let mut passed = BTreeSet::new();
    for sequence in parsed.sequences.values().filter(|sequence| sequence.is_whole) {
        let mut findings = findings.of(sequence);
        let body = &sequence.body;
        check_args(body.args.as_ref(), &mut findings);
        check_acl(body.acl.as_deref().unwrap_or_default(), &mut findings);
        if body.nodes.as_ref().is_none_or(|nodes| nodes.0.is_empty()) {
            findings.error(Rule::S11, sequence.at, missing("nodes", "a sequence has at least one node"));
        }
        check_sets_unique(body, &mut findings);
        node_checks::check(body, parsed, &mut findings);
        if findings.is_clean() {
            passed.insert(&*sequence.name);
        }
    }
    passed
}

/// S1 to S5, S9, S10.
fn check_args(args: Option<&Args>, findings: &mut SequenceFindings<'_>) {
    let Some(args) = args else { return };
    let mut names = BTreeSet::new();
    for kind in kinds(args) {
        for arg in kind.list.iter().flatten() {
            let Some(fields) = &arg.value else {
                findings.error(kind.named, arg.at, null(&format!("args.{}", kind.name), "an arg"));
                continue;
            };
            check_arg(&kind, fields, arg.at, findings);
            if let Some(name) = &fields.name
                && !names.insert(name.value.as_str())
            {
                let message = duplicated("args", &name.value, "an arg is declared once");
                findings.error(Rule::S9, name.at, message);
            }
        }
    }
}

/// The args of one kind, and the rules for them.
struct Kind<'a> {
    name: &'static str,
    list: &'a Option<List<Arg>>,
    /// Each has a name.
    named: Rule,
    /// Each has a default; required ones have none.
    defaults: Option<Rule>,
}

fn kinds(args: &Args) -> [Kind<'_>; 3] {
    [
        Kind { name: "required", list: &args.required, named: Rule::S1, defaults: None },
        Kind { name: "optional", list: &args.optional, named: Rule::S2, defaults: Some(Rule::S4) },
        Kind { name: "static", list: &args.fixed, named: Rule::S3, defaults: Some(Rule::S5) },
    ]
}

fn check_arg(kind: &Kind<'_>, arg: &Arg, at: Position, findings: &mut SequenceFindings<'_>) {
    let Some(name) = arg.name.as_ref().filter(|name| !name.value.is_empty()) else {
        let field = format!("args.{}.name", kind.name);
        findings.error(kind.named, at, missing(&field, "an arg has a name"));
        return;
    };
    match (kind.defaults, &arg.default) {
        (None, Some(default)) => {
            let message =
                format!("required arg '{}' has a default; only optional and static args do", name.value);
            findings.error(Rule::S10, default.at, message);
        }
        (None, None) | (Some(_), Some(_)) => {}
        (Some(rule), None) => {
            let why = format!("{} arg '{}' needs one", kind.name, name.value);
            findings.error(rule, name.at, missing(&format!("args.{}.default", kind.name), &why));
        }
    }
}

/// S6 to S8.
fn check_acl(acl: &[Marked<Option<AclEntry>>], findings: &mut SequenceFindings<'_>) {
    let mut roles = BTreeSet::new();
    for entry in acl {
        let Marked { value: Some(entry), at } = entry else {
            findings.error(Rule::S7, entry.at, null("acl", "a role and its operations"));
            continue;
        };
        let admin = entry.admin == Some(true);
        let ops = matches!(&entry.ops, Some(Ops::Listed(ops)) if !ops.is_empty());
        if admin && ops {
            let message = "'admin: true' and 'ops' exclude each other: an admin may do everything";
            findings.error(Rule::S6, *at, message);
        }
        match entry.role.as_ref().filter(|role| !role.value.is_empty()) {
            None => {
                findings.error(Rule::S7, *at, missing("acl.role", "an entry names the role it is about"));
            }
            Some(role) if !roles.insert(role.value.as_str()) => {
                let message = duplicated("acl.role", &role.value, "a role has one entry");
                findings.error(Rule::S8, role.at, message);
            }
            Some(_) => {}
        }
    }
}

/// S12, a warning: two nodes set the same arg, or one sets a declared arg.
fn check_sets_unique<'a>(body: &'a Sequence, findings: &mut SequenceFindings<'a>) {
    let mut setters: BTreeMap<&str, String> =
        declared(body).map(|arg| (arg, "declared by the sequence".to_owned())).collect();
    for (node, fields) in body.nodes.iter().flat_map(|nodes| &nodes.0) {
        findings.at_node(&node.value);
        let mut own = BTreeSet::new();
        for name in fields.iter().flat_map(|fields| items(fields.sets.as_ref())).filter_map(set_name) {
            if let Some(first) = setters.get(name.value.as_str()) {
                let message = format!("arg '{}' is set here, and also {first}", name.value);
                findings.warning(Rule::S12, name.at, message);
            }
            own.insert(name.value.as_str());
        }
        for name in own {
            setters.entry(name).or_insert_with(|| format!("set by node {}", node.value));
        }
    }
    findings.at_sequence();
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
