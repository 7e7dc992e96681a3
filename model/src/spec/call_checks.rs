//! The static checks of calls: what sequence and conditional nodes call, and the args they pass.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    NOOP, Position, Rule,
    checks::declared,
    decode::{List, items},
    finding::SequenceFindings,
    grammar::{Arg, Category, Node},
    nearest::{did_you_mean, nearest},
    node_checks::passed,
    parse::{Callee, Parsed, ParsedSequence},
    words::{invalid, null, quoted},
    yaml::Text,
};

/// N3, N14 and N28.
pub(super) fn check(node: &Node, parsed: &Parsed, findings: &mut SequenceFindings<'_>) {
    let mut callees = Vec::new();
    match node.category() {
        Some(Category::Sequence) => {
            let Some(kind) = node.kind.as_ref().filter(|kind| !kind.value.is_empty()) else { return };
            match parsed.callee(&kind.value) {
                // Only a branch may name what no file defines.
                Callee::Noop | Callee::Unknown => unknown("type", kind, parsed, findings),
                callee => callees.push((kind, callee)),
            }
        }
        Some(Category::Conditional) => {
            for (value, target) in node.branches.iter().flat_map(|branches| &branches.value.0) {
                match target.as_ref().filter(|target| !target.value.is_empty()) {
                    None => findings.error(Rule::N3, value.at, null("eq", "the name of a sequence")),
                    Some(target) => match parsed.callee(&target.value) {
                        Callee::Unknown => unknown("eq", target, parsed, findings),
                        callee => callees.push((target, callee)),
                    },
                }
            }
        }
        Some(Category::Job) | None => return,
    }
    check_required(node, &callees, findings);
    check_extra(node, &callees, findings);
}

fn unknown(field: &str, name: &Text, parsed: &Parsed, findings: &mut SequenceFindings<'_>) {
    let known = parsed.sequences.keys().map(|name| &**name).chain((field == "eq").then_some(NOOP));
    let near = did_you_mean(&name.value, known);
    let message = invalid(field, &name.value, "the name of a sequence");
    findings.error(Rule::N3, name.at, message + &near);
}

/// N14: each callee is passed what it requires.
fn check_required(node: &Node, callees: &[(&Text, Callee<'_>)], findings: &mut SequenceFindings<'_>) {
    let passed: BTreeSet<&str> = passed(node).map(|(name, _)| name).collect();
    let mut checked = BTreeSet::new();
    for (name, callee) in callees.iter().filter_map(|(name, callee)| Some((name, callee.defined()?))) {
        if !checked.insert(&callee.name) {
            continue;
        }
        let required = callee.body.args.as_ref().and_then(|args| args.required.as_ref());
        for arg in names(required).filter(|arg| !passed.contains(arg)) {
            let message = format!("required arg '{arg}' of sequence '{}' is not among 'args'", name.value);
            // What was probably meant for it; what the callee takes under its own name was not.
            let strays = passed.iter().copied().filter(|passed| !takes(callee, passed));
            let near = nearest(arg, strays).map_or_else(String::new, |near| format!("; '{near}' is"));
            findings.error(Rule::N14, name.at, message + &near);
        }
    }
}

/// N28, a warning: what is passed is taken by a callee. Nothing is said where a callee's args are not all known.
fn check_extra(node: &Node, callees: &[(&Text, Callee<'_>)], findings: &mut SequenceFindings<'_>) {
    let mut taken = BTreeSet::new();
    for (_, callee) in callees {
        match callee {
            Callee::Defined(sequence) if knows_args(sequence) => {
                let args = sequence.body.args.as_ref();
                taken.extend(names(args.and_then(|args| args.required.as_ref())));
                taken.extend(names(args.and_then(|args| args.optional.as_ref())));
            }
            Callee::Noop => {}
            _ => return,
        }
    }
    if callees.is_empty() {
        return;
    }
    let called: BTreeSet<&str> = callees.iter().map(|(name, _)| name.value.as_str()).collect();
    let passed: BTreeMap<&str, Position> = passed(node).collect();
    for (arg, at) in passed.into_iter().filter(|(arg, _)| !taken.contains(arg)) {
        let near = did_you_mean(arg, taken.iter().copied());
        let message = format!(
            "arg '{arg}' is passed, but no required or optional arg of {}{near}",
            quoted(called.iter().copied())
        );
        findings.warning(Rule::N28, at, message);
    }
}

fn takes(callee: &ParsedSequence, arg: &str) -> bool {
    declared(&callee.body).any(|declared| declared == arg)
}

/// Whether each arg of a sequence could be read and has a name.
fn knows_args(sequence: &ParsedSequence) -> bool {
    let args = sequence.body.args.iter();
    let mut lists = args.flat_map(|args| [&args.required, &args.optional]).flatten().flatten();
    let named = |arg: &Arg| arg.name.as_ref().is_some_and(|name| !name.value.is_empty());
    sequence.is_whole && lists.all(|arg| arg.value.as_ref().is_some_and(named))
}

fn names(args: Option<&List<Arg>>) -> impl Iterator<Item = &str> {
    items(args).filter_map(|arg| arg.name.as_ref()).map(|name| name.value.as_str())
}

impl<'a> Callee<'a> {
    /// The sequence, if it could be read whole.
    fn defined(self) -> Option<&'a ParsedSequence> {
        match self {
            Self::Defined(sequence) => Some(sequence).filter(|sequence| sequence.is_whole),
            Self::Noop | Self::Lost | Self::Unknown => None,
        }
    }
}
