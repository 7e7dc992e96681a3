//! The linter of request specs: a spec for each rule, and specs that were right before something was changed in them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "spec_lint/mutations.rs"]
mod mutations;
#[path = "spec_lint/rules.rs"]
mod rules;

use capstan_model::spec::{Finding, JobTypes, Level, Rule, lint};

/// What is found in files, given as path and text.
fn findings(files: &[(&str, &str)], jobs: &JobTypes) -> Vec<Finding> {
    lint(files.iter().map(|(path, text)| (*path, Ok(*text))), jobs).findings
}

/// A finding as tables write it: `file:line:column rule`, and `?` for a warning.
fn brief(finding: &Finding) -> String {
    let at = finding.at.map_or_else(|| "-".to_owned(), |at| format!("{}:{}", at.line, at.column));
    let mark = if finding.level == Level::Warning { "?" } else { "" };
    format!("{}:{at} {}{mark}", finding.file, finding.rule)
}

#[test]
fn what_is_found_is_in_order_and_the_same_each_time() {
    let files = [
        ("b.yaml", "sequences: {B: {nodes: {x: {}, y: {category: job}}}}"),
        (
            "a.yaml",
            "sequences: {A: {nodes: {x: {category: sequence, type: B}, y: {category: sequence, type: C}}}}",
        ),
        ("a/z.yaml", "sequences: {Z: ~, C: {nodes: {n: {category: job, type: noop, deps: [m]}}}}"),
    ];
    let found = findings(&files, &JobTypes::default());
    let briefs: Vec<_> = found.iter().map(brief).collect();
    let expected =
        ["a.yaml:1:89 G6", "a/z.yaml:1:13 parse", "a/z.yaml:1:69 G4", "b.yaml:1:25 N1", "b.yaml:1:32 N12"];
    assert_eq!(briefs, expected, "{found:#?}");
    assert!(found.iter().is_sorted_by_key(|finding| (finding.file.clone(), finding.at, finding.rule)));
    let turned: Vec<_> = files.iter().rev().copied().collect();
    assert_eq!(findings(&turned, &JobTypes::default()), found);
}

#[test]
fn every_error_of_a_file_is_told_and_what_is_whole_is_looked_at_further() {
    let text = "sequences:
  A:
    request: maybe
    nodes:
      x: {category: [job], type: noop, retry: many}
      y: text
  B: {nodes: {x: {category: sequence, type: A, args: [{expected: what}]}, y: {category: sequence, type: D}}}
  C: {nodes: {x: {category: job, type: noop, deps: [y]}}}
";
    let briefs: Vec<_> = findings(&[("f", text)], &JobTypes::default()).iter().map(brief).collect();
    let expected =
        ["f:3:14 parse", "f:5:21 parse", "f:5:47 parse", "f:6:10 parse", "f:7:105 N3", "f:8:53 G4"];
    assert_eq!(briefs, expected);
}

#[test]
fn calls_into_a_file_that_is_no_yaml_are_not_told_again() {
    let files = [
        ("broken.yaml", "sequences:\n  \"lost\": {nodes: {\n"),
        (
            "calls.yaml",
            "sequences: {A: {nodes: {x: {category: sequence, type: lost}, y: {category: sequence, type: gone}}}}",
        ),
    ];
    let briefs: Vec<_> = findings(&files, &JobTypes::default()).iter().map(brief).collect();
    assert_eq!(briefs, ["broken.yaml:2:19 parse", "calls.yaml:1:92 N3"]);
    let unreadable = [("gone.yaml", Err("cannot be read".to_owned())), (files[1].0, Ok(files[1].1))];
    let found = lint(unreadable, &JobTypes::default()).findings;
    assert_eq!(found.iter().map(brief).collect::<Vec<_>>(), ["gone.yaml:- parse"]);
}

#[test]
fn names_that_are_nearly_right_are_suggested() {
    let cases = [
        ("sequences: {A: {node: {}}}", "did you mean nodes?"),
        ("sequences: {A: {nodes: {x: {category: Job, type: noop}}}}", "did you mean job?"),
        (
            "sequences: {Abc: {nodes: {x: {category: sequence, type: Bcdd}}}, Bcd: {nodes: {x: {category: job, type: noop}}}}",
            "did you mean Bcd?",
        ),
        (
            "sequences: {A: {nodes: {first: {category: job, type: noop}, b: {category: job, type: noop, deps: [frist]}}}}",
            "did you mean first?",
        ),
        (
            "sequences: {A: {args: {required: [{name: host}]}, nodes: {x: {category: job, type: noop, args: [{expected: h, given: hosst}]}}}}",
            "did you mean host?",
        ),
        (
            "sequences: {A: {args: {required: [{name: h}]}, nodes: {x: {category: sequence, type: B, args: [{expected: hots, given: h}]}}}, B: {args: {required: [{name: host}]}, nodes: {x: {category: job, type: noop}}}}",
            "'hots' is",
        ),
    ];
    for (text, suggestion) in cases {
        let found = findings(&[("f", text)], &JobTypes::default());
        assert!(found.iter().any(|finding| finding.message.contains(suggestion)), "{suggestion}: {found:#?}");
    }
}

#[test]
fn rules_have_names_of_their_own() {
    let mut names: Vec<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Rule::ALL.len());
}
