//! A spec for each rule, and where what is against it stands.

use std::{collections::BTreeSet, sync::Arc};

use capstan_model::spec::{JobSignature, JobTypes, OtherTypes, Rule};

use super::{brief, findings};

/// A sequence to call, which needs `n`, may be given `o`, has `s` of its own, and sets `k`.
const CALLEE: &str = "sequences:
  S:
    args: {required: [{name: n}], optional: [{name: o, default: 1}], static: [{name: s, default: 1}]}
    nodes: {x: {category: job, type: t, sets: [{arg: k}]}}
";

/// What stands around the fields of a node.
fn node(fields: &str) -> String {
    format!(
        "sequences:\n  A:\n    args: {{required: [{{name: a}}, {{name: b}}]}}\n    nodes: {{x: {{{fields}}}}}\n"
    )
}

/// As [`node`], where what is wrong is told at its name.
fn named(fields: &str) -> String {
    node(fields).replace("{x:", "{§x:")
}

fn job(fields: &str) -> String {
    node(&format!("category: job, type: t, {fields}"))
}

fn call(fields: &str) -> String {
    node(&format!("category: sequence, type: S, {fields}"))
}

/// What stands around the fields of a sequence.
fn sequence(fields: &str) -> String {
    format!("sequences:\n  A:\n    {{{fields}, nodes: {{x: {{category: job, type: t}}}}}}\n")
}

/// Which rule it is about, the text, and all that is found in it: at each `§` one finding, a warning with a `?`.
fn cases() -> Vec<(Rule, String, &'static [&'static str])> {
    use Rule::*;
    vec![
        (Parse, "sequences: §[".into(), &["parse"]),
        (Parse, "§[]".into(), &["parse"]),
        (Parse, "sequences:\n  §A: ~\n".into(), &["parse"]),
        (Parse, "sequences:\n  A: §text\n".into(), &["parse"]),
        (Parse, job("retry: §-1"), &["parse"]),
        (Parse, job("§dep: []"), &["parse?"]),
        (Parse, job("retry: 1, §retry: 2"), &["parse?"]),
        (Parse, "§sequence: {}".into(), &["parse?"]),
        (Parse, "sequences:\n  §S: {nodes: {x: {category: job, type: t}}}\n".into(), &["parse"]),
        (S1, sequence("args: {required: [§{desc: x}]}"), &["S1"]),
        (S1, sequence("args: {required: [§~]}"), &["S1"]),
        (S2, sequence("args: {optional: [§{default: x}]}"), &["S2"]),
        (S3, sequence("args: {static: [§{name: \"\", default: x}]}"), &["S3"]),
        (S4, sequence("args: {optional: [{name: §x}]}"), &["S4"]),
        (S4, sequence("args: {optional: [{name: x, default: \"\"}]}"), &[]),
        (S5, sequence("args: {static: [{name: §x, default: ~}]}"), &["S5"]),
        (S6, sequence("acl: [§{role: r, admin: true, ops: [start]}]"), &["S6"]),
        (S6, sequence("acl: [{role: r, admin: true, ops: []}, {role: s, ops: admin}]"), &[]),
        (S7, sequence("acl: [§{ops: [start]}, §~]"), &["S7", "S7"]),
        (S8, sequence("acl: [{role: r, admin: true}, {role: §r, ops: [stop]}]"), &["S8"]),
        (S9, sequence("args: {required: [{name: x}], static: [{name: §x, default: 1}]}"), &["S9"]),
        (S10, sequence("args: {required: [{name: x, default: §1}]}"), &["S10"]),
        (S11, "sequences:\n  §A: {request: true}\n  §B: {nodes: {}}\n".into(), &["S11", "S11"]),
        (S12, job("sets: [{arg: k, as: §a}]"), &["S12?"]),
        (N1, named("type: t"), &["N1"]),
        (N1, "sequences:\n  A: {nodes: {§x: ~}}\n".into(), &["N1"]),
        (N2, node("category: §task, type: t"), &["N2"]),
        (N3, node("category: sequence, type: §nosuch"), &["N3"]),
        (N3, node("category: sequence, type: §noop"), &["N3"]),
        (N3, node("category: conditional, if: a, eq: {§v: ~, w: §nosuch, z: noop}"), &["N3", "N3"]),
        (N4, job("each: [§a, §~, §'a:b:c']"), &["N4", "N4", "N4"]),
        (N5, job("args: [§~]"), &["N5"]),
        (N6, job("args: [§{given: a}]"), &["N6"]),
        (N7, job("sets: [§~]"), &["N7"]),
        (N8, job("sets: [§{as: k}]"), &["N8"]),
        (N9, job("each: ['a:e'], parallel: §0"), &["N9"]),
        (N10, named("category: conditional, eq: {v: noop}"), &["N10"]),
        (N11, named("category: conditional, if: a, eq: {}"), &["N11"]),
        (N12, named("category: job"), &["N12"]),
        (N13, job("retry: 1, retryWait: §5"), &["N13"]),
        (N14, node("category: sequence, type: §S, args: [{expected: o, given: a}]"), &["N14"]),
        (N14, node("category: conditional, if: a, eq: {v: §S, w: noop}"), &["N14"]),
        (N15, job("each: ['a:e', §'b:e']"), &["N15"]),
        (N16, job("args: [{expected: a}, {expected: §a, given: b}]"), &["N16"]),
        (N17, job("each: [§'a:e'], args: [{expected: e, given: b}]"), &["N17"]),
        (N18, job("parallel: §2"), &["N18"]),
        (N18, job("parallel: 2, each: []"), &[]),
        (N19, job("sets: [{arg: k}, {arg: l, as: §k}]"), &["N19"]),
        (N20, node("category: conditional, type: §S, if: a, eq: {v: noop}"), &["N20"]),
        (N21, job("if: §a"), &["N21"]),
        (N22, job("eq: §{v: S}"), &["N22"]),
        (N23, job("retryWait: §5s"), &["N23"]),
        (N24, job("each: ['a:e', §'a:f']"), &["N24?"]),
        (N25, job("args: [{expected: x, given: a}, {expected: y, given: §a}]"), &["N25?"]),
        (N26, job("each: [§'a:e'], args: [{expected: x, given: a}]"), &["N26?"]),
        (N27, job("sets: [{arg: k}, {arg: k, as: §l}]"), &["N27?"]),
        (N28, call("args: [{expected: n, given: a}, {expected: §s, given: b}]"), &["N28?"]),
        (G1, node("category: conditional, if: §c, eq: {v: noop}"), &["G1"]),
        (G2, job("args: [{expected: x, given: §c}]"), &["G2"]),
        (G2, job("each: [§'c:e']"), &["G2"]),
        (G2, "sequences:\n  A:\n    nodes:\n      x: {category: job, type: t, sets: [{arg: k}]}\n      y: {category: job, type: t, args: [{expected: §k}]}\n".into(), &["G2"]),
        (G4, named("category: job, type: t, deps: [x]"), &["G4"]),
        (G4, job("deps: [§y]"), &["G4"]),
        (G4, job("deps: [§~]"), &["G4"]),
        (G5, "sequences:\n  §A: {nodes: {x: {category: sequence, type: B}}}\n  §B: {nodes: {x: {category: sequence, type: A}}}\n  §C: {nodes: {x: {category: sequence, type: A}}}\n".into(), &["G5", "G5", "G5"]),
        (G6, "sequences:\n  A: {nodes: {x: {category: sequence, type: §B}}}\n  B: {nodes: {x: {category: job, type: t, deps: [§y]}}}\n".into(), &["G6", "G4"]),
        (G7, call("args: [{expected: n, given: a}], sets: [{arg: k}, {arg: §l}]"), &["G7"]),
        (G7, node("category: conditional, if: a, eq: {v: S, w: noop}, args: [{expected: n, given: a}], sets: [{arg: §k}]"), &["G7"]),
        (G9, "sequences:\n  A: {nodes: {x: {category: sequence, type: B, retry: §1}}}\n  B: {nodes: {x: {category: sequence, type: C}}}\n  C: {nodes: {x: {category: sequence, type: D, retry: 2}}}\n  D: {nodes: {x: {category: job, type: t, retry: 3}}}\n".into(), &["G9?"]),
        (J1, node("category: job, type: §nosuch"), &["J1"]),
        (J1, node("category: job, type: §silent"), &["J1?"]),
        (J2, node("category: job, type: §picky"), &["J2"]),
        (J3, node("category: job, type: picky, args: [{expected: p, given: a}], sets: [{arg: p}, {arg: q}, {arg: §r}]"), &["J3"]),
        (J3, node("category: job, type: generous, sets: [{arg: §q}]"), &["J3?"]),
    ]
}

/// A text without its marks, and the lines and columns of those.
fn unmarked(text: &str) -> (String, Vec<(u64, u64)>) {
    let (mut clean, mut places) = (String::new(), Vec::new());
    let (mut line, mut column) = (1, 1);
    for letter in text.chars() {
        if letter == '§' {
            places.push((line, column));
            continue;
        }
        clean.push(letter);
        (line, column) = if letter == '\n' { (line + 1, 1) } else { (line, column + 1) };
    }
    (clean, places)
}

fn jobs() -> JobTypes {
    let described = |args: &[&str], sets: &[&str], sets_more| JobSignature::Described {
        args: args.iter().map(|arg| Arc::from(*arg)).collect(),
        sets: sets.iter().map(|arg| Arc::from(*arg)).collect(),
        sets_more,
    };
    let types = [
        ("t", described(&[], &["k", "l"], false)),
        ("silent", JobSignature::Silent("it does not answer".to_owned())),
        ("picky", described(&["p"], &["q"], false)),
        ("generous", described(&[], &[], true)),
    ];
    let known = types.into_iter().map(|(name, signature)| (name.into(), signature)).collect();
    JobTypes { known, others: OtherTypes::None }
}

#[test]
fn each_rule_finds_what_is_against_it_and_where() {
    for (rule, text, expected) in cases() {
        let (clean, places) = unmarked(&text);
        let found = findings(&[("a", &clean), ("0", CALLEE)], &jobs());
        let briefs: Vec<_> = found.iter().map(brief).collect();
        let marked = places.iter().zip(expected);
        let marked: Vec<_> =
            marked.map(|((line, column), rule)| format!("a:{line}:{column} {rule}")).collect();
        assert_eq!((briefs, places.len()), (marked, expected.len()), "{rule}: {text}{found:#?}");
        assert!(expected.is_empty() || found.iter().any(|finding| finding.rule == rule), "{rule}: {text}");
    }
}

#[test]
fn each_rule_has_a_case() {
    let shown: BTreeSet<Rule> = cases().into_iter().map(|(rule, ..)| rule).collect();
    let without: Vec<_> = Rule::ALL.iter().filter(|rule| !shown.contains(rule)).collect();
    // N4 finds first what G3 is about, and what G8 is about cannot be written.
    assert_eq!(without, [&Rule::G3, &Rule::G8]);
}

#[test]
fn a_type_that_may_be_a_plugin_is_not_unknown_but_the_built_in_ones_are_all_known() {
    for (others, job_type, expected) in [
        (OtherTypes::Any, "lrp/nosuch", &[][..]),
        (OtherTypes::Plugins, "host/stop", &[]),
        (OtherTypes::Plugins, "lrp/nosuch", &["J1"]),
        (OtherTypes::None, "host/stop", &["J1"]),
    ] {
        let text = node(&format!("category: job, type: {job_type}"));
        let found = findings(&[("a", &text)], &JobTypes { others, ..jobs() });
        let rules: Vec<_> = found.iter().map(|finding| finding.rule.name()).collect();
        assert_eq!(rules, expected, "{job_type}");
    }
}
