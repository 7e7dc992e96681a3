//! `capstan node` as its user sees it.

use serde_json::json;

use crate::{
    failure::Exit,
    testing::{Reply, node, ok, run},
};

const DRAIN: &str = "POST /cluster/v1/nodes/2/drain ";
const STATUS: &str = "GET /cluster/v1/status ";

fn accepted(call: &'static str, draining: bool) -> Reply {
    let body = json!({ "id": 2, "draining": draining }).to_string();
    Reply { call, status: "202 Accepted", body }
}

fn status(draining: bool, requests: u64) -> String {
    json!({
        "cluster_id": null, "node_id": 1, "leader_id": 1, "term": 1, "state": "leader", "last_log": 1, "committed": 1,
        "applied": 1, "snapshot": 0, "voters": [1, 2], "learners": [],
        "nodes": [{"id": 2, "address": "", "http": "", "incarnation": 1, "last_seen_ms": null, "clock_skew_ms": null,
            "draining": draining, "requests": requests}],
    })
    .to_string()
}

#[tokio::test]
async fn drain_is_answered_at_once_and_says_how_to_wait() {
    let node = node(vec![accepted(DRAIN, true)]).await;
    let ran = run(&node, &["node", "drain", "2"]).await;
    assert_eq!((&*ran.out, ran.exit), ("node 2 is being drained\n", Exit::Done));
    assert!(ran.err.starts_with("next: capstan node drain 2 --wait"), "{}", ran.err);
}

#[tokio::test]
async fn drain_waits_until_the_node_owns_nothing() {
    let statuses = [status(false, 0), status(true, 2), status(true, 0)];
    let replies = statuses.into_iter().map(|body| ok(STATUS, body)).chain([accepted(DRAIN, true)]);
    let node = node(replies.collect()).await;
    let ran = run(&node, &["node", "drain", "2", "--wait"]).await;
    assert_eq!((&*ran.out, ran.exit), ("node 2 is drained\n", Exit::Done));
    assert_eq!(ran.err, "node 2 has 2 requests to hand over\n");
}

#[tokio::test]
async fn a_drain_that_does_not_end_in_time_goes_on() {
    let node = node(vec![accepted(DRAIN, true), ok(STATUS, status(true, 1))]).await;
    let ran = run(&node, &["node", "drain", "2", "--wait", "--wait-max", "300ms"]).await;
    assert!(ran.err.contains("still has requests after 300ms; the drain goes on"), "{}", ran.err);
    assert_eq!(ran.exit, Exit::Unknown);
}

#[tokio::test]
async fn undrain_says_so_and_an_unknown_node_has_its_own_exit_code() {
    let known = node(vec![accepted("POST /cluster/v1/nodes/2/undrain ", false)]).await;
    let ran = run(&known, &["node", "undrain", "2", "-o", "json"]).await;
    let body: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((body, ran.exit), (json!({ "id": 2, "draining": false }), Exit::Done));

    let ran = run(&node(vec![]).await, &["node", "undrain", "7"]).await;
    assert_eq!(ran.exit, Exit::NotFound);
    assert!(ran.err.ends_with("next: capstan cluster status shows the nodes\n"), "{}", ran.err);
}
