//! What goes beyond Spin Cycle, as its user sees it.

use serde_json::{Value, json};

use crate::{
    failure::Exit,
    testing::{Reply, node, ok, run},
};

const ID: &str = "dc05ckj8di16o61bq710";
const DETAIL: &str = "GET /cluster/v1/requests/dc05ckj8di16o61bq710 ";

/// A request without anything beyond Spin Cycle.
pub(super) fn detail(id: &str, state: &str) -> Value {
    json!({
        "id": id, "type": "release", "user": "", "state": state, "created_at": "2026-11-20T14:16:50Z",
        "started_at": "2026-11-20T14:16:50.5Z", "finished_at": null, "node": 2, "specs": null, "total_jobs": 3,
        "finished_jobs": 1, "timeout": null, "deadline": null, "timed_out_at": null, "paused": null, "retry_of": null, "retried_by": [],
        "awaiting": [], "decisions": [], "jobs": [],
    })
}

/// A request with two approvals that wait.
fn asking() -> String {
    let mut asking = detail(ID, "RUNNING");
    let wait = |id: &str, name: &str| json!({"job_id": id, "name": name, "try": 1, "message": "ok?", "since": "2026-11-20T14:16:51Z", "deadline": null});
    asking["awaiting"] = json!([wait("aaaa", "ask-dev"), wait("bbbb", "ask-ops")]);
    asking.to_string()
}

#[tokio::test]
async fn pause_and_resume_say_so() {
    let reply = |verb: &'static str| ok(verb, detail(ID, "RUNNING").to_string());
    let node = node(vec![
        reply("PUT /cluster/v1/requests/dc05ckj8di16o61bq710/pause "),
        reply("PUT /cluster/v1/requests/dc05ckj8di16o61bq710/resume "),
    ])
    .await;
    let paused = run(&node, &["request", "pause", ID]).await;
    assert_eq!(
        (paused.out, paused.err),
        (format!("paused {ID}\n"), format!("next: capstan request resume {ID}\n"))
    );
    let resumed = run(&node, &["request", "resume", ID]).await;
    assert_eq!((resumed.out, resumed.exit), (format!("resumed {ID}\n"), Exit::Done));
    let refused = run(&node, &["request", "pause", "other"]).await;
    assert_eq!(refused.exit, Exit::NotFound, "{}", refused.err);
}

#[tokio::test]
async fn an_approval_is_named_by_its_job_when_several_wait() {
    let approve = Reply {
        call: "POST /cluster/v1/requests/dc05ckj8di16o61bq710/jobs/bbbb/approve ",
        status: "200 OK",
        body: asking(),
    };
    let sent = Reply { call: r#"{"comment":"fine","try":1}"#, ..approve };
    let node = node(vec![sent, ok(DETAIL, asking())]).await;
    let unclear = run(&node, &["request", "approve", ID]).await;
    let expected = format!(
        "error: several jobs of {ID} wait for approval: name one\nnext: waiting: aaaa (ask-dev), bbbb (ask-ops)\n"
    );
    assert_eq!((unclear.err, unclear.exit), (expected, Exit::Refused));
    let missing = run(&node, &["request", "reject", ID, "ask-qa"]).await;
    assert!(missing.err.contains("no job ask-qa"), "{}", missing.err);
    let done = run(&node, &["request", "approve", ID, "ask-ops", "--comment", "fine"]).await;
    assert_eq!((done.out, done.exit), (format!("approved ask-ops of {ID}\n"), Exit::Done), "{}", done.err);
}

#[tokio::test]
async fn show_tells_what_is_waited_for() {
    let mut shown: Value = serde_json::from_str(&asking()).unwrap();
    shown["specs"] = json!("9e296193f76a33a1be2a7313e38391e2cc4b856a281245a4d67e0032035ad085");
    shown["timeout"] = json!("2h");
    shown["deadline"] = json!("2026-11-20T16:16:50.5Z");
    shown["paused"] = json!({"by": "ann", "since": "2026-11-20T14:16:55Z"});
    shown["retry_of"] = json!("dc05ckj8di16o61bq711");
    shown["retried_by"] = json!(["dc05ckj8di16o61bq712"]);
    shown["decisions"] = json!([{"job_id": "cccc", "try": 1, "approved": false, "by": "", "comment": "no",
        "at": "2026-11-20T14:16:54Z"}]);
    let request = json!({"id": ID, "type": "release", "state": 2, "user": "", "args": [],
        "createdAt": "2026-11-20T14:16:50Z", "startedAt": null, "finishedAt": null, "totalJobs": 3, "finishedJobs": 1});
    let node = node(vec![
        ok("GET /api/v1/requests/dc05ckj8di16o61bq710 ", request.to_string()),
        ok("GET /api/v1/status/running?requestId=dc05ckj8di16o61bq710 ", r#"{"jobs":[],"requests":{}}"#),
        ok(DETAIL, shown.to_string()),
    ])
    .await;
    let ran = run(&node, &["request", "show", ID]).await;
    let expected = "\
specs     version 9e296193f76a
timeout   2h, until 2026-11-20 16:16:50 UTC (in 1 h)
paused    by ann since 2026-11-20 14:16:55 UTC (5 s ago)
retry of  dc05ckj8di16o61bq711, 0 jobs kept
retried   as dc05ckj8di16o61bq712
decided   cccc rejected 2026-11-20 14:16:54 UTC (6 s ago): no
waiting   ask-dev for approval: ok? (since 2026-11-20 14:16:51 UTC (9 s ago))
          capstan request approve dc05ckj8di16o61bq710 aaaa
waiting   ask-ops for approval: ok? (since 2026-11-20 14:16:51 UTC (9 s ago))
          capstan request approve dc05ckj8di16o61bq710 bbbb
";
    assert!(ran.out.ends_with(expected), "{}{}", ran.out, ran.err);
    let as_json = run(&node, &["request", "show", ID, "-o", "json"]).await;
    let value: Value = serde_json::from_str(&as_json.out).unwrap();
    assert_eq!((&value["state"], &value["capstan"]["paused"]["by"]), (&json!(2), &json!("ann")));
}

#[tokio::test]
async fn a_plan_shows_what_would_be_kept_and_run() {
    let job = |name: &str, kind: &str, kept: bool| {
        json!({"id": "aaaa", "name": name, "type": kind, "args": {"cmd": "true"}, "sequence_id": "aaaa", "after": [],
            "retry": 2, "retry_wait": "1s", "retry_backoff": null, "retry_wait_max": null, "timeout": "5m", "kept": kept})
    };
    let plan = json!({"type": "release", "args": [], "timeout": null, "retry_of": ID, "total_jobs": 3, "kept_jobs": 1,
        "types": {"noop": 1, "shell-command": 1},
        "jobs": [job("begin", "noop", true), job("build", "shell-command", true), job("test", "shell-command", false)]});
    let preview = "POST /cluster/v1/requests/dc05ckj8di16o61bq710/retry ";
    let sent = Reply { call: r#"{"args":{"n":"2"},"preview":true}"#, ..ok(preview, plan.to_string()) };
    let node = node(vec![sent]).await;
    let ran = run(&node, &["request", "retry", ID, "--arg", "n=2", "--preview"]).await;
    let expected = "\
release: 3 jobs, 1 kept, 2 to run: 1 noop, 1 shell-command

NAME   TYPE           DOES  TRIES  TIMEOUT  ARGS
build  shell-command  keep      3  5m       cmd=true
test   shell-command  run       3  5m       cmd=true
";
    assert_eq!((ran.out.as_str(), ran.exit), (expected, Exit::Done), "{}", ran.err);
}

#[tokio::test]
async fn a_retry_tells_how_much_is_kept() {
    let mut new = detail("dc05ckj8di16o61bq712", "RUNNING");
    new["jobs"] = json!([{"id": "aaaa", "name": "begin", "type": "noop", "state": "COMPLETE", "try": 0, "timeout": null,
        "kept": true}]);
    let node = node(vec![ok("POST /cluster/v1/requests/dc05ckj8di16o61bq710/retry ", new.to_string())]).await;
    let ran = run(&node, &["request", "retry", ID]).await;
    assert_eq!(ran.out, format!("dc05ckj8di16o61bq712 goes on with {ID}: 1 of 3 jobs kept\n"), "{}", ran.err);
    assert_eq!(ran.err, "next: capstan request wait dc05ckj8di16o61bq712\n");
}

#[tokio::test]
async fn a_dry_run_asks_for_a_plan_and_starts_nothing() {
    let plan = json!({"type": "release", "args": [], "timeout": "2h", "retry_of": null, "total_jobs": 4, "kept_jobs": 0,
        "types": {"noop": 4}, "jobs": []});
    let list = json!([{"Name": "release", "Args": []}]).to_string();
    let node = node(vec![
        ok("GET /api/v1/request-list", list),
        ok("POST /cluster/v1/requests?dry_run=true ", plan.to_string()),
    ])
    .await;
    let ran = run(&node, &["request", "start", "release", "--dry-run"]).await;
    assert!(ran.out.starts_with("release: 4 jobs, 4 to run: 4 noop\n"), "{}{}", ran.out, ran.err);
    assert_eq!(ran.exit, Exit::Done);
}
