//! `capstan spec` as its user sees it.

use crate::{failure::Exit, testing::run};

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
