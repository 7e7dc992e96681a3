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
    assert_eq!(
        (&*ran.out, &*ran.err, ran.exit),
        ("", "0 errors, 0 warnings; 1 sequences are fine\n", Exit::Done)
    );
}

#[tokio::test]
async fn lint_names_file_and_line_and_fails() {
    let folder = specs(&GOOD.replace("given: ms", "given: mss"));
    let path = folder.path().to_str().unwrap();
    let ran = spec(&["lint", path]).await;
    assert!(ran.out.starts_with("error: a.yaml:") && ran.out.contains("mss"), "{}", ran.out);
    assert_eq!((&*ran.err, ran.exit), ("1 errors, 0 warnings\n", Exit::Refused));

    let ran = spec(&["lint", path, "-o", "json"]).await;
    let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&found["ok"], &found["findings"][0]["sequence"]), (&false.into(), &"nap".into()));
    assert!(found["findings"][0]["line"].is_u64(), "{found}");

    let ran = spec(&["lint", "/no/such"]).await;
    assert_eq!(ran.exit, Exit::NotFound);
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
