//! `capstan spec` as its user sees it.

use crate::{
    console::Terminal,
    failure::Exit,
    testing::{Reply, node, ok, run, run_on, run_with_input},
};

const GOOD: &str = "
sequences:
  nap:
    request: true
    args:
      required:
        - name: ms
          desc: how long
    nodes:
      sleep:
        category: job
        type: sleep
        args:
          - expected: duration
            given: ms
        sets: []
        deps: []
        retry: 2
        retryWait: 1s
";

fn specs(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.yaml"), text).unwrap();
    folder
}

async fn spec(words: &[&str]) -> crate::testing::Ran {
    run("", &[&["spec"], words].concat()).await
}

#[tokio::test]
async fn lint_tells_that_specs_are_fine() {
    let folder = specs(GOOD);
    let ran = spec(&["lint", folder.path().to_str().unwrap()]).await;
    let said = "0 errors, 0 warnings; all specs are valid (1 sequence)\n";
    assert_eq!((&*ran.out, &*ran.err, ran.exit), ("", said, Exit::Done));
}

/// A sequence with two errors and a warning, and one with a warning.
const BAD: &str = "
sequences:
  one:
    nodes:
      a: {category: job, type: sleepy/x, args: [{expected: d, given: mss}], deps: [b, c], dep: []}
  two:
    args: {required: [{name: n}]}
    nodes:
      b: {category: job, type: noop, args: [{expected: x, given: n}, {expected: y, given: n}]}
";

#[tokio::test]
async fn lint_groups_what_it_finds_by_sequence_and_numbers_it() {
    let folder = specs(BAD);
    let path = folder.path().to_str().unwrap();
    let ran = spec(&["lint", path]).await;
    let expected = "a.yaml: one
  Errors
    1. 5:84 node a: invalid value \"b\" in field 'deps', expected the name of a node of this sequence [G4]
    2. 5:87 node a: invalid value \"c\" in field 'deps', expected the name of a node of this sequence [G4]
  Warnings
    1. 5:91 node a: unknown field 'dep' is ignored; did you mean deps? [parse]
a.yaml: two
  Warnings
    1. 9:91 node b: arg 'n' is given both as 'x' and as 'y' [N25]
";
    assert_eq!(ran.out, expected);
    assert_eq!((&*ran.err, ran.exit), ("2 errors, 2 warnings\n", Exit::Refused));

    let ran = spec(&["lint", path, "-o", "json"]).await;
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let first = serde_json::json!({
        "level": "error",
        "rule": "G4",
        "file": "a.yaml",
        "line": 5,
        "column": 84,
        "sequence": "one",
        "node": "a",
        "message": "invalid value \"b\" in field 'deps', expected the name of a node of this sequence",
    });
    assert_eq!((&found["ok"], &found["findings"][0]), (&false.into(), &first));
}

#[tokio::test]
async fn lint_of_some_sequences_still_fails_for_the_others() {
    let folder = specs(BAD);
    let path = folder.path().to_str().unwrap();
    let ran = spec(&["lint", path, "--sequences", "two"]).await;
    assert!(ran.out.contains("N25") && !ran.out.contains("G4"), "{}", ran.out);
    let said = format!(
        "0 errors, 1 warning; not valid: 2 findings in other sequences\ncapstan spec lint {path} shows all\n"
    );
    assert_eq!((ran.err, ran.exit), (said, Exit::Refused));

    let ran = spec(&["lint", path, "--sequences", "two,on"]).await;
    assert!(ran.err.contains("no file defines a sequence on; did you mean one?"), "{}", ran.err);
    assert_eq!(ran.exit, Exit::Refused);
}

#[tokio::test]
async fn warnings_count_when_strict() {
    let folder = specs(&GOOD.replace("deps: []", "dep: []"));
    let path = folder.path().to_str().unwrap();
    let ran = spec(&["lint", path]).await;
    assert_eq!((&*ran.err, ran.exit), ("0 errors, 1 warning; 1 sequence\n", Exit::Done));
    let ran = spec(&["lint", path, "--strict"]).await;
    let said = "0 errors, 1 warning; not valid: --strict counts warnings\n";
    assert_eq!((&*ran.err, ran.exit), (said, Exit::Refused));
}

#[tokio::test]
async fn nothing_to_lint_is_a_failure() {
    let empty = tempfile::tempdir().unwrap();
    let ran = spec(&["lint", empty.path().to_str().unwrap()]).await;
    assert!(ran.out.contains("no request specs"), "{}", ran.out);
    assert_eq!(ran.exit, Exit::Refused);
    let ran = spec(&["lint", "/no/such"]).await;
    assert_eq!(ran.exit, Exit::Refused);
}

#[tokio::test]
async fn jobs_are_checked_against_what_their_types_need() {
    let folder = specs(&GOOD.replace("expected: duration", "expected: durations"));
    let path = folder.path().to_str().unwrap();
    let ran = spec(&["lint", path]).await;
    let told = "arg 'duration', which job type 'sleep' needs, is not among 'args'; 'durations' is [J2]";
    assert!(ran.out.contains(told), "{}", ran.out);
    // Without a jobs directory a type may be a plugin; with one all are known.
    let folder = specs(&GOOD.replace("type: sleep", "type: host/stop"));
    let path = folder.path().to_str().unwrap();
    assert_eq!(spec(&["lint", path]).await.exit, Exit::Done);
    let ran = spec(&["lint", path, "--jobs", path]).await;
    assert!(ran.out.contains("[J1]"), "{}", ran.out);
    assert_eq!(ran.exit, Exit::Refused);
}

#[tokio::test]
async fn graph_shows_jobs_in_an_order_they_can_run_in() {
    let folder = specs(GOOD);
    let path = folder.path().to_str().unwrap();
    let ran = spec(&["graph", "nap", "--specs", path, "--arg", "ms=5"]).await;
    let lines: Vec<String> =
        ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines[0], "STEP JOB NAME TYPE ARGS SEQUENCE RETRY AFTER");
    assert!(lines[1].contains("request_nap_begin noop"), "{lines:?}");
    assert!(lines[3].contains("sleep sleep duration=\"5\"") && lines[3].contains(" 2 "), "{lines:?}");
    assert_eq!((&*ran.err, ran.exit), ("5 jobs\n", Exit::Done));

    let again = spec(&["graph", "nap", "--specs", path, "--arg", "ms=5"]).await;
    assert_eq!(again.out, ran.out);
}

#[tokio::test]
async fn graph_says_why_a_request_cannot_be_built() {
    let folder = specs(GOOD);
    let ran = spec(&["graph", "nap", "--specs", folder.path().to_str().unwrap()]).await;
    assert!(ran.err.contains("ms"), "{}", ran.err);
    assert_eq!(ran.exit, Exit::Refused);
}

#[tokio::test]
async fn an_unknown_job_type_asks_for_the_plugins() {
    let folder = specs(&GOOD.replace("type: sleep", "type: host/stop"));
    let path = folder.path().to_str().unwrap();
    let ran = spec(&["graph", "nap", "--specs", path, "--arg", "ms=5"]).await;
    assert!(ran.err.contains("unknown job type") && ran.err.contains("--jobs DIR"), "{}", ran.err);
    let ran = spec(&["graph", "nap", "--specs", path, "--arg", "ms=5", "--jobs", path]).await;
    assert!(ran.err.contains("unknown job type") && !ran.err.contains("--jobs DIR"), "{}", ran.err);
}

const V1: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const V2: &str = "2222222222222222222222222222222222222222222222222222222222222222";

fn version(number: u64, id: &str, parent: Option<&str>) -> serde_json::Value {
    serde_json::json!({
        "number": number, "version": id, "parent": parent, "pushed_at": "2026-11-20T14:12:00Z",
        "pushed_by": "", "file_count": 1, "bytes": 300,
    })
}

/// A version with one file.
fn content(number: u64, id: &str, text: &str) -> String {
    let mut content = version(number, id, None);
    content["files"] = serde_json::json!([{ "path": "a.yaml", "text": text }]);
    content.to_string()
}

fn pushed(id: &str) -> String {
    serde_json::json!({ "version": id, "changed": true }).to_string()
}

fn nothing_there() -> Reply {
    let body = r#"{"code":"no_such_specs","message":"none were pushed yet"}"#;
    Reply { call: "GET /cluster/v1/specs/current", status: "404 Not Found", body: body.to_owned() }
}

#[tokio::test]
async fn push_shows_what_changes_and_names_what_it_replaces() {
    let folder = specs(GOOD);
    let path = folder.path().to_str().unwrap();
    let before = content(1, V1, &GOOD.replace("retry: 2", "retry: 1"));
    // The call is found only if it has the header.
    let if_match = "if-match: \"1111111111111111111111111111111111111111111111111111111111111111\"";
    let node = node(vec![ok("GET /cluster/v1/specs/current", before), ok(if_match, pushed(V2))]).await;
    let ran = run(&node, &["spec", "push", path, "--yes"]).await;
    assert!(ran.out.contains("--- a/a.yaml\n+++ b/a.yaml\n"), "{}", ran.out);
    assert!(ran.out.contains("-        retry: 1\n+        retry: 2\n"), "{}", ran.out);
    assert!(ran.out.ends_with("the specs are at version 222222222222 now\n"), "{}", ran.out);
    assert_eq!(ran.exit, Exit::Done);
}

#[tokio::test]
async fn the_first_push_expects_that_there_is_nothing() {
    let folder = specs(GOOD);
    let path = folder.path().to_str().unwrap();
    let node = node(vec![nothing_there(), ok("if-none-match: *", pushed(V1))]).await;
    let ran = run(&node, &["spec", "push", path, "--yes", "-o", "json"]).await;
    let told: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((told, ran.exit), (serde_json::json!({ "version": V1, "changed": true }), Exit::Done));
}

#[tokio::test]
async fn what_is_there_already_is_not_pushed() {
    let folder = specs(GOOD);
    let path = folder.path().to_str().unwrap();
    let node = node(vec![ok("GET /cluster/v1/specs/current", content(1, V1, GOOD))]).await;
    let ran = run(&node, &["spec", "push", path]).await;
    assert_eq!((&*ran.out, ran.exit), ("the specs were at version 111111111111 already\n", Exit::Done));
}

#[tokio::test]
async fn specs_with_errors_are_not_pushed() {
    let folder = specs(BAD);
    let ran = run("127.0.0.1:1", &["spec", "push", folder.path().to_str().unwrap(), "--yes"]).await;
    assert!(ran.out.contains("[G4]") && ran.err.contains("nothing was pushed"), "{} {}", ran.out, ran.err);
    assert_eq!(ran.exit, Exit::Refused);
}

#[tokio::test]
async fn a_person_is_asked_and_a_program_is_not() {
    let folder = specs(GOOD);
    let path = folder.path().to_str().unwrap();
    let terminal = Terminal { input: true, err: true, ..Terminal::default() };
    for (answer, exit) in [("y\n", Exit::Done), ("n\n", Exit::Refused), ("", Exit::Refused)] {
        let node = node(vec![nothing_there(), ok("PUT /cluster/v1/specs", pushed(V1))]).await;
        let ran = run_with_input(answer, terminal, &node, &["spec", "push", path]).await;
        assert!(ran.err.contains("Push this? 1 file changed. [y/N] "), "{}", ran.err);
        assert_eq!(ran.exit, exit, "{answer:?}: {}", ran.err);
    }
    let node = node(vec![nothing_there()]).await;
    let ran = run(&node, &["spec", "push", path]).await;
    assert!(ran.err.contains("--yes"), "{}", ran.err);
    assert_eq!(ran.exit, Exit::Usage);
}

#[tokio::test]
async fn who_comes_second_is_told_to_look_again() {
    let folder = specs(GOOD);
    let body = format!(r#"{{"code":"specs_mismatch","message":"the request specs are at version {V2}"}}"#);
    let moved = Reply { call: "PUT /cluster/v1/specs", status: "412 Precondition Failed", body };
    let node = node(vec![nothing_there(), moved]).await;
    let ran = run(&node, &["spec", "push", folder.path().to_str().unwrap(), "--yes"]).await;
    assert!(ran.err.contains("somebody pushed meanwhile"), "{}", ran.err);
    assert_eq!(ran.exit, Exit::Refused);
}

#[tokio::test]
async fn versions_are_listed_shown_and_compared() {
    let list = serde_json::json!({
        "current": V2, "versions": [version(2, V2, Some(V1)), version(1, V1, None)],
    });
    let changed = GOOD.replace("retry: 2", "retry: 5");
    let node = node(vec![
        ok("GET /cluster/v1/specs HTTP", list.to_string()),
        ok("GET /cluster/v1/specs/current", content(2, V2, &changed)),
        ok("GET /cluster/v1/specs/1111", content(1, V1, GOOD)),
    ])
    .await;
    let ran = run(&node, &["spec", "ls"]).await;
    let lines: Vec<String> =
        ran.out.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines[1], "2 222222222222 5 min ago - 1 300 111111111111");

    let ran = run(&node, &["spec", "show"]).await;
    assert!(ran.out.contains(V2) && ran.out.contains("a.yaml"), "{}", ran.out);
    for name in ["a.yaml", "nap"] {
        assert_eq!(run(&node, &["spec", "show", name]).await.out, changed, "{name}");
    }
    let ran = run(&node, &["spec", "show", "nab"]).await;
    assert!(ran.err.contains("did you mean nap?"), "{}", ran.err);
    assert_eq!(ran.exit, Exit::NotFound);

    let ran = run(&node, &["spec", "diff", "--from", "1111", "--to", "current"]).await;
    assert!(ran.out.contains("-        retry: 2\n+        retry: 5\n"), "{}", ran.out);
    let folder = specs(&changed);
    let ran = run(&node, &["spec", "diff", folder.path().to_str().unwrap()]).await;
    assert_eq!((&*ran.out, &*ran.err), ("", "no difference\n"));
}

#[tokio::test]
async fn revert_names_what_it_takes_back() {
    let if_match = "if-match: \"2222222222222222222222222222222222222222222222222222222222222222\"";
    let node = node(vec![
        ok("GET /cluster/v1/specs/current", content(2, V2, "b")),
        ok("GET /cluster/v1/specs/1111", content(1, V1, "a")),
        ok(if_match, pushed(V1)),
    ])
    .await;
    let ran = run_on(Terminal::default(), &node, &["spec", "revert", "1111", "--yes"]).await;
    assert!(ran.out.contains("-b") && ran.out.contains("+a"), "{}", ran.out);
    assert!(ran.out.ends_with("the specs are at version 111111111111 now\n"), "{}", ran.out);
}
