//! `capstan task` as its user sees it.

use serde_json::{Value, json};

use crate::{
    console::Terminal,
    failure::Exit,
    testing::{Reply, node, ok, run, run_with_input},
};

const MANIFEST: &str =
    "task_guid: t1\ndomain: d\nrootfs: preloaded:host\naction:\n  run: {path: a, user: u}\n";

fn task(state: &str, failed: bool, reason: &str, result: &str) -> String {
    json!({
        "action": {"run": {"path": "a", "user": "u"}}, "completion_callback_url": "", "cpu_weight": 0, "disk_mb": 0,
        "domain": "d", "log_guid": "", "log_source": "", "metrics_guid": "", "memory_mb": 64, "result_file": "",
        "task_guid": "t1", "rootfs": "preloaded:host", "privileged": false, "cell_id": "cell-1",
        "created_at": 1_795_184_210_000_000_000_i64, "failed": failed, "failure_reason": reason, "result": result,
        "state": state,
    })
    .to_string()
}

fn created() -> Reply {
    Reply { call: "POST /v1/tasks ", status: "201 Created", body: String::new() }
}

#[tokio::test]
async fn a_task_is_made_of_a_manifest_and_waited_for() {
    let replies = vec![
        created(),
        ok("GET /v1/tasks/t1 ", task("RUNNING", false, "", "")),
        ok("GET /v1/tasks/t1 ", task("COMPLETED", false, "", "42")),
    ];
    let line = ["task", "create", "-", "--wait"];
    let ran = run_with_input(MANIFEST, Terminal::default(), &node(replies).await, &line).await;
    assert_eq!((&*ran.out, ran.exit), ("t1 COMPLETED: 42\n", Exit::Done), "{}", ran.err);
}

#[tokio::test]
async fn a_task_that_failed_says_why_and_exits_with_1() {
    let replies =
        vec![created(), ok("GET /v1/tasks/t1 ", task("COMPLETED", true, "Exited with status 3", ""))];
    let line = ["task", "create", "-", "--wait"];
    let ran = run_with_input(MANIFEST, Terminal::default(), &node(replies).await, &line).await;
    assert_eq!((&*ran.out, ran.exit), ("t1 FAILED: Exited with status 3\n", Exit::Refused), "{}", ran.err);
}

#[tokio::test]
async fn a_task_that_exists_is_shown_the_way_to() {
    let body = json!({"name": "TaskGuidAlreadyExists", "message": "task already exists"}).to_string();
    let node = node(vec![Reply { call: "POST /v1/tasks ", status: "409 Conflict", body }]).await;
    let ran = run_with_input(MANIFEST, Terminal::default(), &node, &["task", "create", "-"]).await;
    assert!(ran.err.ends_with("next: capstan task show t1\n"), "{}", ran.err);
    assert_eq!(ran.exit, Exit::Refused);
}

#[tokio::test]
async fn tasks_are_listed_and_shown() {
    let list = format!("[{}]", task("COMPLETED", true, "task was cancelled", ""));
    let replies =
        vec![ok("GET /v1/tasks?domain=d ", list), ok("GET /v1/tasks/t1 ", task("RUNNING", false, "", ""))];
    let node = node(replies).await;
    let ran = run(&node, &["task", "ls", "--domain", "d"]).await;
    let expected = "\
GUID  DOMAIN  STATE   CELL    CREATED   WHY
t1    d       FAILED  cell-1  10 s ago  task was cancelled
";
    assert_eq!(ran.out, expected);
    let ran = run(&node, &["task", "show", "t1"]).await;
    assert!(
        ran.out.contains("state       RUNNING\n") && ran.out.contains("memory      64 MiB\n"),
        "{}",
        ran.out
    );
    let ran = run(&node, &["task", "show", "t1", "-o", "json"]).await;
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown["state"], "RUNNING");
}

#[tokio::test]
async fn a_task_is_cancelled_and_removed() {
    let busy = json!({"name": "TaskNotDeletable", "message": "not yet"}).to_string();
    let replies = vec![
        ok("POST /v1/tasks/t1/cancel ", ""),
        Reply { call: "DELETE /v1/tasks/t1 ", status: "409 Conflict", body: busy },
        ok("DELETE /v1/tasks/t1 ", ""),
    ];
    let node = node(replies).await;
    assert_eq!(run(&node, &["task", "cancel", "t1"]).await.out, "t1 is cancelled\n");
    let ran = run(&node, &["task", "rm", "t1"]).await;
    assert!(ran.err.ends_with("next: capstan task cancel t1, or wait for its end\n"), "{}", ran.err);
    assert_eq!(run(&node, &["task", "rm", "t1"]).await.out, "removed t1\n");
    let ran = run(&node, &["task", "rm", "t2"]).await;
    assert_eq!(ran.exit, Exit::NotFound);
    assert!(ran.err.ends_with("next: capstan task ls shows the tasks there are\n"), "{}", ran.err);
}
