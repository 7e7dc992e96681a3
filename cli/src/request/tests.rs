//! `capstan request` as its user sees it.

use serde_json::json;

use crate::{
    console::Terminal,
    failure::Exit,
    testing::{Reply, node, ok, run, run_on, run_with_input},
};

const ID: &str = "dc05ckj8di16o61bq710";
const GET: &str = "GET /api/v1/requests/dc05ckj8di16o61bq710 ";
const DETAIL: &str = "GET /cluster/v1/requests/dc05ckj8di16o61bq710 ";
const LOG: &str = "GET /api/v1/requests/dc05ckj8di16o61bq710/log ";
const RUNNING: &str = "GET /api/v1/status/running?requestId=dc05ckj8di16o61bq710 ";
const LIST: &str = "GET /api/v1/request-list";
const CREATE: &str = "POST /api/v1/requests ";

/// A request of three jobs in the given state (a number) with as many of them complete.
fn request(state: u8, finished_jobs: u64) -> String {
    let over = matches!(state, 3 | 4 | 6);
    let job = |id: &str, name: &str, kind: &str, state: u8| {
        json!({"id": id, "name": name, "type": kind, "state": state, "retry": 2, "retryWait": "1s",
            "sequenceId": "aaaa", "sequenceRetry": 0})
    };
    json!({
        "id": ID, "type": "sleeper", "state": state, "user": "",
        "args": [
            {"Pos": 0, "Name": "ms", "Desc": "", "Type": "required", "Given": true, "Default": null, "Value": "300"},
            {"Pos": 0, "Name": "note", "Desc": "", "Type": "optional", "Given": false, "Default": "", "Value": "a\tb"},
        ],
        "createdAt": "2026-11-20T14:16:50Z", "startedAt": "2026-11-20T14:16:50.5Z",
        "finishedAt": over.then_some("2026-11-20T14:16:52.9Z"),
        "JobChain": {
            "requestId": ID,
            "jobs": {
                "aaaa": job("aaaa", "begin", "noop", 3),
                "cccc": job("cccc", "nap", "sleep", if over { 3 } else { 1 }),
                "bbbb": job("bbbb", "end", "noop", if over { 3 } else { 1 }),
            },
            "adjacencyList": {"aaaa": ["cccc"], "cccc": ["bbbb"]}, "state": state, "finishedJobs": finished_jobs,
        },
        "totalJobs": 3, "finishedJobs": finished_jobs,
    })
    .to_string()
}

fn running(finished_jobs: u64) -> String {
    let mut request: serde_json::Value = serde_json::from_str(&request(2, finished_jobs)).unwrap();
    request.as_object_mut().unwrap().remove("JobChain");
    let job = json!({"requestId": ID, "jobId": "cccc", "type": "sleep", "name": "nap",
        "startedAt": 1_795_184_218_000_000_000_u64, "state": 2, "status": "sleeping", "try": 2});
    json!({"jobs": [job], "requests": {ID: request}}).to_string()
}

fn log() -> String {
    let entry = |job: &str, name: &str, kind: &str, state: u8, at: u64, error: &str, stderr: &str| {
        json!({"requestId": ID, "jobId": job, "try": 1, "name": name, "type": kind, "startedAt": at,
            "finishedAt": at + 300_000_000, "state": state, "exit": u8::from(state == 4), "error": error,
            "stdout": "", "stderr": stderr})
    };
    json!([
        entry("cccc", "nap", "sleep", 4, 2_000_000_000, "exit status 1", "no such file\n\u{1b}[31mred\n"),
        entry("aaaa", "begin", "noop", 3, 1_000_000_000, "", ""),
    ])
    .to_string()
}

fn list() -> String {
    let arg = json!({"Pos": 0, "Name": "ms", "Desc": "how long", "Type": "required", "Given": false,
        "Default": null, "Value": null});
    json!([{"Name": "sleeper", "Args": [arg]}]).to_string()
}

#[tokio::test]
async fn start_sends_the_args_and_tells_the_id() {
    let created = Reply { call: CREATE, status: "201 Created", body: request(1, 0) };
    let node =
        node(vec![Reply { call: r#"{"type":"sleeper","args":{"ms":"300"}}"#, ..created }, ok(LIST, list())])
            .await;
    let ran = run(&node, &["request", "start", "sleeper", "ms=300"]).await;
    assert_eq!(ran.out, format!("started sleeper request {ID}\n"));
    assert_eq!((ran.err, ran.exit), (format!("next: capstan request wait {ID}\n"), Exit::Done));
}

#[tokio::test]
async fn start_with_a_missing_arg_sends_nothing_and_explains() {
    let node = node(vec![ok(LIST, list())]).await;
    let ran = run(&node, &["request", "start", "sleeper"]).await;
    let expected = "\
error: sleeper needs ms
args of sleeper (* required):
  * ms  how long
next: capstan request start sleeper ms=...
";
    assert_eq!((ran.err.as_str(), ran.exit), (expected, Exit::Usage));
}

#[tokio::test]
async fn wait_follows_to_the_end_and_tells_how_it_went() {
    let nothing = r#"{"jobs":[],"requests":{}}"#;
    let node = node(vec![
        ok(RUNNING, running(1)),
        ok(RUNNING, running(1).replace("sleeping", "(waiting for approval)")),
        ok(RUNNING, running(2)),
        ok(RUNNING, nothing),
        ok(GET, request(3, 3)),
    ])
    .await;
    let ran = run(&node, &["request", "wait", ID]).await;
    assert_eq!((ran.out, ran.exit), (format!("{ID} COMPLETE, 3 of 3 jobs, 2.4 s\n"), Exit::Done));
    let steps: Vec<&str> = ran.err.lines().map(|line| line.rsplit_once(',').unwrap().0).collect();
    let expected =
        ["RUNNING, 1 of 3 jobs", "RUNNING (waiting for approval), 1 of 3 jobs", "RUNNING, 2 of 3 jobs"];
    assert_eq!(steps, expected);
}

#[tokio::test]
async fn wait_for_a_request_that_fails_tells_why_and_exits_1() {
    let nothing = r#"{"jobs":[],"requests":{}}"#;
    let node = node(vec![ok(RUNNING, nothing), ok(LOG, log()), ok(GET, request(4, 1))]).await;
    let ran = run(&node, &["request", "wait", ID]).await;
    assert_eq!((ran.out, ran.exit), (format!("{ID} FAIL, 1 of 3 jobs, 2.4 s\n"), Exit::Refused));
    let expected = format!(
        "job nap (cccc) failed in try 1: exit status 1\n  no such file\n  \\u{{1b}}[31mred\n\
         next: capstan request log {ID}\n"
    );
    assert_eq!(ran.err, expected);
}

#[tokio::test]
async fn wait_outlasts_a_cluster_that_cannot_answer_for_a_while() {
    let unavailable = Reply {
        call: RUNNING,
        status: "503 Service Unavailable",
        body: r#"{"message":"no leader"}"#.to_owned(),
    };
    let nothing = r#"{"jobs":[],"requests":{}}"#;
    let mut replies = vec![ok(RUNNING, running(1))];
    // More than one call's patience: the calls of this test give up after 300 ms, some five attempts.
    replies.extend(vec![unavailable; 16]);
    replies.extend([ok(RUNNING, nothing), ok(GET, request(3, 3))]);
    let ran = run(&node(replies).await, &["request", "wait", ID, "--timeout", "300ms"]).await;
    assert_eq!(ran.exit, Exit::Done, "{}", ran.err);
    assert_eq!(ran.err.lines().filter(|line| *line == "no node can answer now; still waiting").count(), 1);
}

#[tokio::test]
async fn show_lists_the_jobs_in_order_with_what_they_do_now() {
    let detail = super::tests_beyond::detail(ID, "RUNNING").to_string();
    let node = node(vec![ok(RUNNING, running(1)), ok(GET, request(2, 1)), ok(DETAIL, detail)]).await;
    let ran = run(&node, &["request", "show", ID]).await;
    let expected = "\
id        dc05ckj8di16o61bq710
request   sleeper
state     RUNNING
user      -
created   2026-11-20 14:16:50 UTC (10 s ago)
started   2026-11-20 14:16:50 UTC (9 s ago)
finished  -
took      9.5 s
jobs      1 of 3 complete
node      -

ARG   VALUE  KIND
ms    300    required
note  a\\tb   optional, default

JOB   NAME   TYPE   STATE     TRY     FOR    STATUS
aaaa  begin  noop   COMPLETE  -       -
cccc  nap    sleep  RUNNING   2 of 3  2.0 s  sleeping
bbbb  end    noop   PENDING   -       -
";
    assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.exit), (expected, "", Exit::Done));
}

#[tokio::test]
async fn log_is_in_the_order_of_time_without_noops_and_safe_on_a_terminal() {
    let node = node(vec![ok(LOG, log())]).await;
    let terminal = Terminal { out: true, ..Terminal::default() };
    let ran = run_on(terminal, &node, &["request", "log", ID]).await;
    let expected = "\
nap (cccc, sleep) try 1: FAIL, exit 1, 300 ms
  error  | exit status 1
  stderr | no such file
  stderr | \\u{1b}[31mred
";
    assert_eq!((ran.out.as_str(), ran.err.as_str()), (expected, "1 noop not shown; --all shows all\n"));

    let all = run(&node, &["request", "log", ID, "--all"]).await;
    assert!(all.out.starts_with("begin (aaaa, noop) try 1: COMPLETE"), "{}", all.out);
    assert!(all.out.contains("\u{1b}[31mred"), "a file gets what the job wrote");

    let none = run(&node, &["request", "log", ID, "--job", "other"]).await;
    assert_eq!(none.exit, Exit::NotFound);
}

#[tokio::test]
async fn ls_asks_with_the_filters_and_draws_a_table() {
    let call = "GET /api/v1/requests?state=FAIL&state=COMPLETE&since=2026-11-20T12%3A17%3A00Z&limit=20 ";
    let found = format!("[{}]", request(3, 3));
    let ran = run(
        &node(vec![ok(call, found)]).await,
        &["request", "ls", "--state", "fail,COMPLETE", "--since", "2h"],
    )
    .await;
    let expected = "\
ID                    REQUEST  USER  STATE     JOBS    CREATED   TOOK
dc05ckj8di16o61bq710  sleeper  -     COMPLETE  3 of 3  10 s ago  2.4 s
";
    assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.exit), (expected, "", Exit::Done));
}

#[tokio::test]
async fn stop_tells_what_became_of_it() {
    let stop = "PUT /api/v1/requests/dc05ckj8di16o61bq710/stop ";
    for (state, said) in [
        (6, format!("stopped {ID}\n")),
        (3, format!("{ID} had ended: COMPLETE\n")),
        (2, format!("stopping {ID}; capstan request wait {ID} tells when it has ended\n")),
    ] {
        let node = node(vec![ok(stop, ""), ok(GET, request(state, 1))]).await;
        let ran = run(&node, &["request", "stop", ID]).await;
        assert_eq!((ran.out, ran.exit), (said, Exit::Done));
    }
}

#[tokio::test]
async fn an_unknown_request_is_not_found() {
    let missing = Reply {
        call: GET,
        status: "404 Not Found",
        body: format!(r#"{{"message":"request {ID} not found","requestId":"","httpStatus":404}}"#),
    };
    let ran = run(&node(vec![missing]).await, &["request", "show", ID]).await;
    assert_eq!(ran.exit, Exit::NotFound);
    assert!(
        ran.err.ends_with("next: capstan request ls shows the newest requests and their ids\n"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn running_shows_jobs_with_their_words() {
    let node = node(vec![ok(RUNNING, running(1))]).await;
    let ran = run(&node, &["request", "running", ID]).await;
    let lines: Vec<Vec<&str>> = ran.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0].join(" "), "ID REQUEST DONE JOB TYPE TRY RUNS FOR STATUS");
    assert_eq!(lines[1].join(" "), format!("{ID} sleeper 1 of 3 nap sleep 2 2.0 s sleeping"));
    assert_eq!(ran.exit, Exit::Done);
}

#[tokio::test]
async fn running_without_jobs_says_so_beside_the_table() {
    let node = node(vec![ok("GET /api/v1/status/running ", r#"{"jobs":[],"requests":{}}"#)]).await;
    let ran = run(&node, &["request", "running"]).await;
    assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.exit), ("", "no running jobs\n", Exit::Done));
}

const PERSON: Terminal = Terminal { input: true, out: true, err: true, out_colour: false, err_colour: false };

#[tokio::test]
async fn a_person_is_asked_for_missing_args_until_something_is_entered() {
    let node =
        node(vec![ok(LIST, list()), ok(CREATE, request(2, 0)), ok(r#""ms":"25""#, request(2, 0))]).await;
    let ran = run_with_input("\n25\n", PERSON, &node, &["request", "start", "sleeper"]).await;
    assert!(ran.err.starts_with("# how long\nms=ms="), "{}", ran.err);
    assert_eq!((ran.out, ran.exit), (format!("started sleeper request {ID}\n"), Exit::Done));
}

#[tokio::test]
async fn a_person_who_enters_nothing_starts_nothing() {
    let node = node(vec![ok(LIST, list())]).await;
    let ran = run_with_input("\n", PERSON, &node, &["request", "start", "sleeper"]).await;
    let said = ran.err.lines().find(|line| line.contains("sleeper needs ms, and nothing was entered"));
    assert!(said.is_some_and(|line| !line.contains("ms=ms=")), "{}", ran.err);
    assert_eq!(ran.exit, Exit::Usage);
}

/// A page of the list, and where the next begins.
fn page(call: &'static str, ids: &[&str], next: Option<&str>) -> Reply {
    let request = |id: &&str| {
        json!({"id": id, "type": "sleeper", "state": 3, "user": "", "createdAt": "2026-11-20T14:16:50Z",
            "startedAt": null, "finishedAt": null, "totalJobs": 3, "finishedJobs": 3})
    };
    let status = match next {
        Some(next) => format!("200 OK\r\nX-Capstan-Next: {next}"),
        None => "200 OK".to_owned(),
    };
    let body = json!(ids.iter().map(request).collect::<Vec<_>>()).to_string();
    Reply { call, status: status.leak(), body }
}

#[tokio::test]
async fn ls_follows_cursors_until_it_has_what_was_asked_for() {
    let node = node(vec![
        page("GET /api/v1/requests?limit=1000&offset=2 ", &["a", "b"], Some("7-b")),
        page("GET /api/v1/requests?limit=1000&after=7-b ", &["c"], None),
        page("GET /api/v1/requests?state=FAIL&limit=2&after=6-x ", &["d", "e"], Some("5-e")),
    ])
    .await;
    let ran = run(&node, &["request", "ls", "--limit", "0", "--offset", "2"]).await;
    let shown: Vec<&str> = ran.out.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(shown, ["ID", "a", "b", "c"]);
    assert_eq!((ran.err.as_str(), ran.exit), ("", Exit::Done));
    let line = ["request", "ls", "--state", "fail", "--limit", "2", "--after", "6-x", "-o", "json"];
    let ran = run(&node, &line).await;
    assert_eq!(serde_json::from_str::<serde_json::Value>(&ran.out).unwrap().as_array().unwrap().len(), 2);
    assert_eq!(ran.err, "there may be more: the same with --after 5-e\n");
}

#[tokio::test]
async fn export_writes_lines_as_they_are() {
    let lines = "{\"cursor\":\"7-b\",\"id\":\"b\"}\n{\"cursor\":\"6-a\",\"id\":\"a\"}\n";
    let node = node(vec![ok("GET /cluster/v1/requests/export?type=t&logs=true ", lines)]).await;
    let ran = run(&node, &["request", "export", "--type", "t", "--with-logs"]).await;
    assert_eq!((ran.out.as_str(), ran.err.as_str(), ran.exit), (lines, "2 requests\n", Exit::Done));
}

#[tokio::test]
async fn an_export_that_breaks_off_says_where_to_go_on() {
    let cut = "{\"cursor\":\"7-b\",\"id\":\"b\"}\n{\"cursor\":\"6-a\",";
    let node = node(vec![ok("GET /cluster/v1/requests/export ", cut)]).await;
    let ran = run(&node, &["request", "export"]).await;
    assert_eq!(ran.out, "{\"cursor\":\"7-b\",\"id\":\"b\"}\n", "whole lines only");
    assert_eq!(ran.exit, Exit::Unavailable);
    let next = "next: what is written is whole; the same with --after 7-b writes the rest\n";
    assert!(ran.err.ends_with(next), "{}", ran.err);
}
