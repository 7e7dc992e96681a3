//! `capstan lrp` as its user sees it.

use serde_json::{Value, json};

use crate::{
    console::Terminal,
    failure::Exit,
    testing::{Ran, Reply, node, ok, run, run_with_input},
};

const MANIFEST: &str = "process_guid: web\ndomain: d\nrootfs: preloaded:host\ninstances: 2\naction:\n  run: {path: a, user: u}\n";
const DESIRED: &str = "GET /v1/desired_lrps/web ";
const ACTUAL: &str = "GET /v1/actual_lrps/web ";

fn desired(instances: u32) -> Value {
    json!({
        "process_guid": "web", "domain": "d", "rootfs": "preloaded:host", "instances": instances, "setup": null,
        "action": {"run": {"path": "a", "user": "u"}}, "monitor": {"run": {"path": "m", "user": "u"}},
        "start_timeout": 60, "disk_mb": 0, "memory_mb": 128, "cpu_weight": 0, "privileged": false, "ports": [8080],
        "routes": {"cf-router": [{"port": 8080, "hostnames": ["h"]}]}, "log_guid": "", "log_source": "",
        "metrics_guid": "", "modification_tag": {"epoch": "e1", "index": 3},
    })
}

fn actual(index: u32, state: &str) -> Value {
    let running = state == "RUNNING";
    let placed = running || state == "CLAIMED";
    json!({
        "process_guid": "web", "instance_guid": if placed { "i" } else { "" },
        "cell_id": if placed { "cell-1" } else { "" }, "domain": "d", "index": index,
        "address": if running { "10.0.0.1" } else { "" },
        "ports": if running { json!([{"container_port": 8080, "host_port": 61001}]) } else { Value::Null },
        "state": state, "crash_count": if state == "CRASHED" { 3 } else { 0 },
        "crash_reason": if state == "CRASHED" { "Exited with status 1" } else { "" },
        "since": 1_795_184_040_000_000_000_i64, "evacuating": false, "modification_tag": {"epoch": "e", "index": 0},
    })
}

fn unplaced(index: u32, error: &str) -> Value {
    let mut instance = actual(index, "UNCLAIMED");
    instance["placement_error"] = error.into();
    instance
}

fn instances(of: &[Value]) -> Reply {
    ok(ACTUAL, Value::from(of.to_vec()).to_string())
}

fn wanted(count: u32) -> Reply {
    ok(DESIRED, desired(count).to_string())
}

fn done(call: &'static str, status: &'static str) -> Reply {
    Reply { call, status, body: String::new() }
}

async fn desire(replies: Vec<Reply>, more: &[&str]) -> Ran {
    let line = [&["lrp", "desire", "-"], more].concat();
    run_with_input(MANIFEST, Terminal::default(), &node(replies).await, &line).await
}

#[tokio::test]
async fn desire_waits_until_all_instances_run_and_tells_what_keeps_them() {
    let error = "insufficient resources: memory";
    let replies = vec![
        done("POST /v1/desired_lrps ", "201 Created"),
        wanted(2),
        instances(&[actual(0, "CLAIMED"), unplaced(1, error)]),
        instances(&[actual(0, "RUNNING"), unplaced(1, error)]),
        instances(&[actual(0, "RUNNING"), actual(1, "RUNNING")]),
    ];
    let ran = desire(replies, &[]).await;
    assert_eq!((&*ran.out, ran.exit), ("web: 2 of 2 running\n", Exit::Done), "{}", ran.err);
    let told: Vec<&str> =
        ran.err.lines().map(|line| line.rsplit_once(", ").map_or(line, |cut| cut.0)).collect();
    let expected = [
        "0 of 2 running, 1 starting, 1 waiting for a cell",
        "index 1 finds no cell: insufficient resources: memory",
        "1 of 2 running, 1 waiting for a cell",
    ];
    assert_eq!(told, expected);
}

#[tokio::test]
async fn desire_gives_up_on_what_crashes_and_says_where_to_look() {
    let replies = vec![
        done("POST /v1/desired_lrps ", "201 Created"),
        wanted(2),
        instances(&[actual(0, "RUNNING"), actual(1, "CRASHED")]),
    ];
    let ran = desire(replies, &[]).await;
    assert_eq!(ran.exit, Exit::Refused);
    let expected = "\
error: web/1 has crashed 3 times in a row: Exited with status 1
next: capstan lrp logs web --index 1
";
    assert_eq!(ran.err, expected);
}

#[tokio::test]
async fn a_wait_that_is_over_leaves_the_cluster_at_it() {
    let replies =
        vec![done("POST /v1/desired_lrps ", "201 Created"), wanted(1), instances(&[actual(0, "CLAIMED")])];
    let ran = desire(replies, &["--wait-max", "300ms"]).await;
    assert_eq!(ran.exit, Exit::Unknown);
    let expected = "\
error: web after 300ms: 0 of 1 running, 1 starting; the cluster goes on
next: capstan lrp explain web
";
    assert!(ran.err.ends_with(expected), "{}", ran.err);
}

#[tokio::test]
async fn desire_without_waiting_asks_for_nothing_more() {
    let ran = desire(vec![done("POST /v1/desired_lrps ", "201 Created")], &["--no-wait"]).await;
    assert_eq!((&*ran.out, &*ran.err), ("desired web\n", "next: capstan lrp show web\n"));
}

#[tokio::test]
async fn what_exists_is_not_desired_again() {
    let body = json!({"name": "DesiredLRPAlreadyExists", "message": "it exists"}).to_string();
    let ran = desire(vec![Reply { call: "POST /v1/desired_lrps ", status: "409 Conflict", body }], &[]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.err.contains("next: capstan lrp update changes"), "{}", ran.err);
}

#[tokio::test]
async fn lrps_are_listed_with_how_much_of_them_runs() {
    let all = [actual(0, "RUNNING"), unplaced(1, "x"), actual(2, "CRASHED")];
    let replies = vec![
        ok("GET /v1/desired_lrps?domain=d ", json!([desired(3)]).to_string()),
        ok("GET /v1/actual_lrps?domain=d ", Value::from(all.to_vec()).to_string()),
    ];
    let ran = run(&node(replies).await, &["lrp", "ls", "--domain", "d"]).await;
    let expected = "\
GUID  DOMAIN  RUNNING  TROUBLE                     MEMORY   ROOTFS
web   d       1 of 3   1 crashed, 1 without a cell  128 MiB  preloaded:host
";
    assert_eq!(ran.out.replace(' ', ""), expected.replace(' ', ""));
}

#[tokio::test]
async fn an_lrp_is_shown_with_its_instances() {
    let node = node(vec![wanted(2), instances(&[actual(0, "RUNNING"), unplaced(1, "no room")])]).await;
    let ran = run(&node, &["lrp", "show", "web"]).await;
    let expected = "\
guid        web
domain      d
instances   1 of 2 running, 1 waiting for a cell
rootfs      preloaded:host
memory      128 MiB
disk        unlimited
ports       8080
monitored   yes, and has 60 s to become healthy
routes      cf-router=[{\"hostnames\":[\"h\"],\"port\":8080}]
annotation  -
version     e1/3

INDEX  STATE      CELL    ADDRESS   PORTS       CRASHES  SINCE      WHY
    0  RUNNING    cell-1  10.0.0.1  8080→61001        0  3 min ago
    1  UNCLAIMED  -       -         -                 0  3 min ago  no room
";
    assert_eq!(ran.out, expected);
    let ran = run(&node, &["lrp", "show", "web", "-o", "json"]).await;
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (&shown["desired"]["instances"], &shown["actual"][0]["state"]),
        (&json!(2), &json!("RUNNING"))
    );
    let ran = run(&node, &["lrp", "show", "none"]).await;
    assert_eq!(ran.exit, Exit::NotFound);
    assert!(ran.err.ends_with("next: capstan lrp ls shows what is desired\n"), "{}", ran.err);
}

#[tokio::test]
async fn scale_and_update_send_what_they_name_and_nothing_else() {
    let cases: [(&[&str], &str); 4] = [
        (&["scale", "web", "1"], r#"{"instances":1}"#),
        (&["update", "web", "--annotation", "a b", "--no-routes"], r#"{"routes":{},"annotation":"a b"}"#),
        (
            &["update", "web", "--route", r#"r=[1, 2]"#, "--route", "s={}"],
            r#"{"routes":{"r":[1, 2],"s":{}}}"#,
        ),
        (&["update", "web", "--instances", "1"], r#"{"instances":1}"#),
    ];
    for (line, body) in cases {
        let put = Reply { call: body, status: "204 No Content", body: String::new() };
        let replies = vec![
            put,
            wanted(1),
            instances(&[actual(0, "RUNNING"), actual(1, "RUNNING")]),
            instances(&[actual(0, "RUNNING")]),
        ];
        let ran = run(&node(replies).await, &[&["lrp"], line].concat()).await;
        assert_eq!((&*ran.out, ran.exit), ("web: 1 of 1 running\n", Exit::Done), "{line:?}: {}", ran.err);
        assert!(ran.err.starts_with("1 of 1 running, 1 stopping, "), "{line:?}: {}", ran.err);
    }
}

#[tokio::test]
async fn rm_waits_until_nothing_is_left_and_kill_does_not() {
    let replies = vec![
        done("DELETE /v1/desired_lrps/web ", "204 No Content"),
        instances(&[actual(0, "RUNNING")]),
        instances(&[]),
        done("DELETE /v1/actual_lrps/web/index/1 ", "204 No Content"),
    ];
    let node = node(replies).await;
    let ran = run(&node, &["lrp", "kill", "web", "1"]).await;
    assert_eq!(ran.out, "web/1 is being stopped; another takes its place\n", "{}", ran.err);
    let ran = run(&node, &["lrp", "rm", "web"]).await;
    assert_eq!(ran.out, "removed web; its instances have stopped\n", "{}", ran.err);
    assert!(ran.err.starts_with("0 of 0 running, 1 stopping, "), "{}", ran.err);
    let ran = run(&node, &["lrp", "kill", "web", "7"]).await;
    assert!(ran.err.ends_with("next: capstan lrp show web shows its instances\n"), "{}", ran.err);
}

#[tokio::test]
async fn logs_are_the_lines_as_they_were_written() {
    let call = "GET /v1/actual_lrps/web/index/1/logs?since=1795184160000000000&stream=err&tail=2 ";
    let node = node(vec![ok(call, "one\ntwo \u{1b}[2J\n")]).await;
    let line = ["lrp", "logs", "web", "--index", "1", "--since", "1m", "--stream", "err", "--tail", "2"];
    assert_eq!(run(&node, &line).await.out, "one\ntwo \u{1b}[2J\n");
    let terminal = Terminal { out: true, ..Terminal::default() };
    let ran = run_with_input("", terminal, &node, &line).await;
    assert_eq!(ran.out, "one\ntwo \\u{1b}[2J\n", "a terminal is not driven by it");
    let ran = run(&node, &[&line[..], &["-o", "json"]].concat()).await;
    assert_eq!(ran.out.lines().next(), Some(r#"{"line":"one"}"#));
}

#[tokio::test]
async fn events_are_told_one_a_line_until_they_are_not_kept_any_more() {
    let event = |id: &str, name: &str, data: Value| format!("id: {id}\nevent: {name}\ndata: {data}\n\n");
    let (before, after) = (actual(0, "CLAIMED"), actual(0, "RUNNING"));
    let stream = [
        event("7-0", "desired_lrp_created", json!({"desired_lrp": desired(2)})),
        event("8-0", "actual_lrp_created", json!({"actual_lrp": unplaced(1, "no room")})),
        event("9-0", "actual_lrp_changed", json!({"actual_lrp_before": before, "actual_lrp_after": after})),
        event(
            "9-1",
            "desired_lrp_changed",
            json!({"desired_lrp_before": desired(2), "desired_lrp_after": desired(1)}),
        ),
        event("9-2", "moon_rose", json!({})),
    ]
    .concat();
    let gone = json!({"name": "UnknownError", "message": "not kept"}).to_string();
    // What resumes behind the last event is refused, which ends the command.
    let replies = || {
        vec![
            Reply { call: "last-event-id: 9-2", status: "410 Gone", body: gone.clone() },
            ok("GET /v1/events ", stream.clone()),
        ]
    };
    let ran = run(&node(replies()).await, &["lrp", "events"]).await;
    let expected = "\
7-0        desired_lrp_created  web × 2
8-0        actual_lrp_created   web/1 UNCLAIMED: no room
9-0        actual_lrp_changed   web/0 CLAIMED → RUNNING on cell-1 at 10.0.0.1 8080→61001
9-1        desired_lrp_changed  web × 2 → × 1
9-2        moon_rose\x20
";
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(trimmed(&ran.out), trimmed(expected));
    assert!(ran.err.ends_with("next: capstan lrp events --after 9-2, once a node answers\n"), "{}", ran.err);

    let ran = run(&node(replies()).await, &["lrp", "events", "--guid", "web", "-o", "json"]).await;
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 4, "the moon is not web's");
    assert_eq!((&lines[2]["id"], &lines[2]["event"]), (&json!("9-0"), &json!("actual_lrp_changed")));
    assert_eq!(lines[2]["data"]["actual_lrp_after"]["state"], "RUNNING");
}

#[tokio::test]
async fn an_explanation_is_in_words() {
    let record = |index: u32, state: &str, cell: Option<&str>| {
        json!({"index": index, "state": state, "cell_id": cell, "zone": cell.map(|_| "z1"),
            "since": 1_795_184_040_000_000_000_i64, "crash_count": 0, "crash_reason": "", "placement_error": "",
            "restart_at": null, "evacuating": false, "stopping": false})
    };
    let with = |mut record: Value, name: &str, value: Value| {
        record[name] = value;
        record
    };
    let crashed = with(record(2, "CRASHED", None), "crash_count", json!(3));
    let crashed = with(crashed, "crash_reason", json!("Exited with status 1"));
    let says = |cell: &str, zone: &str, in_zone: u32, verdict: &str, score: Option<u64>| {
        json!({"cell_id": cell, "zone": zone, "zone_instances": in_zone, "instances": in_zone, "verdict": verdict,
            "score": score, "lacks": if verdict == "full" { json!(["memory"]) } else { json!([]) }})
    };
    let body = json!({
        "process_guid": "web",
        "desired": {"instances": 6, "rootfs": "preloaded:host", "memory_mb": 128, "disk_mb": 0},
        "records": [
            record(0, "RUNNING", Some("cell-1")),
            with(record(1, "UNCLAIMED", None), "placement_error", json!("insufficient resources: memory")),
            with(crashed.clone(), "restart_at", json!(1_795_184_245_000_000_000_i64)),
            with(crashed, "index", json!(3)),
            with(record(4, "RUNNING", Some("cell-1")), "evacuating", json!(true)),
            with(record(5, "CLAIMED", Some("cell-1")), "stopping", json!(true)),
        ],
        "one_more": {"cell_id": "cell-2", "placement_error": "", "cells": [
            says("cell-1", "z1", 1, "fits", Some(3_670_016)), says("cell-2", "z2", 0, "fits", Some(262_144)),
            says("cell-3", "z2", 0, "full", None), says("cell-4", "z2", 0, "silent", None),
        ]},
    });
    let node = node(vec![ok("GET /cluster/v1/lrps/web/explain ", body.to_string())]).await;
    let ran = run(&node, &["lrp", "explain", "web"]).await;
    let expected = "\
web wants 6 instances, each with a container and 128 MiB of memory, from preloaded:host
index 0 runs on cell-1 in zone z1; it became healthy 3 min ago
index 1 found no cell 3 min ago: insufficient resources: memory; it is tried again every 30 s, and when a cell joins
index 2 has crashed 3 times in a row, last: Exited with status 1; it is started again in 25 s
index 3 has crashed 3 times in a row, last: Exited with status 1; it is not started again: capstan lrp kill web 3 begins anew
index 4 goes on on cell-1 in zone z1, whose node is drained, until another one runs in its stead
index 5 was placed on cell-1 in zone z1 and is not healthy yet; its cell was asked to stop it

One more instance would go to cell-2: zone z2 has the fewest instances. Nothing that runs is ever moved.
CELL    ZONE  IN ZONE  ON CELL  SAYS
cell-1  z1          1        1  would take it, score 3.50
cell-2  z2          0        0  would take it, score 0.25
cell-3  z2          0        0  has too little left: memory
cell-4  z2          0        0  is not heard
";
    assert_eq!(ran.out, expected);
    let ran = run(&node, &["lrp", "explain", "web", "--index", "1", "-o", "json"]).await;
    let shown: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(shown["records"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn credentials_are_sent_and_missing_ones_told() {
    let refused = json!({"name": "Unauthorized", "message": "Unauthorized"}).to_string();
    let replies = vec![
        ok("authorization: Basic dTpw", "[]"),
        Reply { call: "GET /v1/desired_lrps HTTP/1.1\r\naccept", status: "401 Unauthorized", body: refused },
    ];
    let node = node(replies).await;
    let guarded = ["lrp", "ls", "--receptor-username", "u", "--receptor-password", "p"];
    assert_eq!(run(&node, &guarded).await.exit, Exit::Done);
    let ran = run(&node, &["lrp", "ls"]).await;
    assert!(
        ran.err.contains("next: give the nodes' name and password with --receptor-username"),
        "{}",
        ran.err
    );
    let ran = run(&node, &guarded[..4]).await;
    assert_eq!(ran.exit, Exit::Usage);
}
