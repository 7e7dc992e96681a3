//! `capstan node` as its user sees it.

use serde_json::json;

use crate::{
    failure::Exit,
    testing::{Reply, node, ok, run},
};

const DRAIN: &str = "POST /cluster/v1/nodes/2/drain ";
const STATUS: &str = "GET /cluster/v1/status ";
const CELLS: &str = "GET /cluster/v1/cells ";
const CELL: &str = "GET /cluster/v1/cells/cell-2 ";

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

fn cell(instances: u64) -> serde_json::Value {
    json!({
        "cell_id": "cell-2", "node": 2, "zone": "z1", "state": "evacuating",
        "capacity": {"memory_mb": 1024, "disk_mb": 2048, "containers": 256},
        "used": {"memory_mb": 0, "disk_mb": 0, "containers": instances}, "instances": instances, "tasks": 0,
        "rootfs_providers": {}, "hosted": [], "task_guids": [],
    })
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
    let replies = statuses.into_iter().map(|body| ok(STATUS, body)).chain([
        accepted(DRAIN, true),
        ok(CELLS, json!([cell(1)]).to_string()),
        ok(CELL, cell(1).to_string()),
        ok(CELL, cell(0).to_string()),
    ]);
    let node = node(replies.collect()).await;
    let ran = run(&node, &["node", "drain", "2", "--wait"]).await;
    assert_eq!((&*ran.out, ran.exit), ("node 2 is drained\n", Exit::Done));
    assert_eq!(ran.err, "node 2 has 2 requests to hand over\ncell-2 has 1 instance left\n");
}

#[tokio::test]
async fn a_drain_whose_cell_is_not_emptied_in_time_goes_on() {
    let replies = vec![
        accepted(DRAIN, true),
        ok(STATUS, status(true, 0)),
        ok(CELLS, json!([cell(1)]).to_string()),
        ok(CELL, cell(1).to_string()),
    ];
    let ran = run(&node(replies).await, &["node", "drain", "2", "--wait", "--wait-max", "300ms"]).await;
    assert!(ran.err.contains("cell-2 still has 1 instance after 300ms"), "{}", ran.err);
    assert_eq!(ran.exit, Exit::Unknown);
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
