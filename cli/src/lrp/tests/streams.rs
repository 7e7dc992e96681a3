//! What goes on until its reader has enough.

use serde_json::{Value, json};

use super::{actual, desired, unplaced};
use crate::{
    console::Terminal,
    failure::Exit,
    testing::{Reply, node, ok, run, run_with_input},
};

#[tokio::test]
async fn logs_are_the_lines_as_they_were_written() {
    let call = "GET /v1/actual_lrps/web/index/1/logs?since=2026-11-20T14%3A16%3A00Z&stream=stderr&tail=2 ";
    let written = |text: &str| {
        let at = "2026-11-20T14:16:50Z";
        json!({"at": at, "stream": "stderr", "source": "APP", "text": text}).to_string()
    };
    let lines = [written("one"), written("two \u{1b}[2J")];
    let node = node(vec![ok(call, lines.join("\n") + "\n")]).await;
    let line = ["lrp", "logs", "web", "--index", "1", "--since", "1m", "--stream", "stderr", "--tail", "2"];
    let ran = run(&node, &line).await;
    assert_eq!(ran.out, "one\ntwo \u{1b}[2J\n", "{}", ran.err);
    let terminal = Terminal { out: true, ..Terminal::default() };
    let ran = run_with_input("", terminal, &node, &line).await;
    assert_eq!(ran.out, "one\ntwo \\u{1b}[2J\n", "a terminal is not driven by it");
    let ran = run(&node, &[&line[..], &["-o", "json"]].concat()).await;
    assert_eq!(ran.out.lines().next(), Some(&*lines[0]));
}

#[tokio::test]
async fn whoever_follows_lines_is_told_where_they_go_on() {
    let written = json!({"at": "2026-11-20T14:16:50Z", "stream": "stdout", "source": "APP", "text": "one"});
    let node =
        node(vec![ok("GET /v1/actual_lrps/web/index/0/logs?follow=true ", format!("{written}\n"))]).await;
    let ran = run(&node, &["lrp", "logs", "web", "--follow"]).await;
    let expected = "\
web/0 is gone, or runs on another cell now
next: capstan lrp logs web --index 0 --follow --since 2026-11-20T14:16:50Z
";
    assert_eq!((&*ran.out, &*ran.err, ran.exit), ("one\n", expected, Exit::Done));
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
