//! What changes an LRP, and the waits that follow.

use serde_json::json;

use super::{actual, done, instances, unplaced, wanted};
use crate::{
    console::Terminal,
    failure::Exit,
    testing::{Ran, Reply, node, run, run_with_input},
};

const MANIFEST: &str = "process_guid: web\ndomain: d\nrootfs: preloaded:host\ninstances: 2\naction:\n  run: {path: a, user: u}\n";
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
async fn scale_and_update_send_what_they_name_and_nothing_else() {
    let cases: [(&[&str], &str); 3] = [
        (&["scale", "web", "1"], r#"{"instances":1}"#),
        (&["update", "web", "--instances", "1"], r#"{"instances":1}"#),
        (
            &["update", "web", "--instances", "1", "--annotation", "a b", "--no-routes"],
            r#"{"instances":1,"routes":{},"annotation":"a b"}"#,
        ),
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
async fn what_no_instance_heeds_is_not_waited_for() {
    let cases: [(&[&str], &str); 2] = [
        (&["--annotation", "a b", "--no-routes"], r#"{"routes":{},"annotation":"a b"}"#),
        (&["--route", r#"r=[1, 2]"#, "--route", "s={}"], r#"{"routes":{"r":[1, 2],"s":{}}}"#),
    ];
    for (line, body) in cases {
        let put = Reply { call: body, status: "204 No Content", body: String::new() };
        let replies = vec![put, wanted(2), instances(&[actual(0, "RUNNING"), actual(1, "CRASHED")])];
        let ran = run(&node(replies).await, &[&["lrp", "update", "web"], line].concat()).await;
        assert_eq!((&*ran.out, ran.exit), ("updated web\n", Exit::Done), "{line:?}: {}", ran.err);
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
