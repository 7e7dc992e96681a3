//! `capstan cluster status` as its user sees it.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{
    failure::Exit,
    testing::{node, ok, run},
};

const STATUS: &str = "GET /cluster/v1/status";

fn status(id: u64, state: &str, nodes: &Value) -> String {
    let ready = state == "leader";
    json!({
        "cluster_id": "5f1d", "node_id": id, "leader_id": 1, "term": 4, "state": state,
        "last_log": 1207, "committed": 1207, "applied": if ready { 1207 } else { 1190 }, "snapshot": 0,
        "voters": [1, 2, 3], "learners": [], "nodes": nodes,
        "checksum": null, "ready": ready, "not_ready": if ready { json!([]) } else { json!(["17 entries behind"]) },
        "specs": "0a1b2c3d4e5f", "alarms": if ready { json!(["node 3 is silent\u{7}"]) } else { json!([]) },
    })
    .to_string()
}

async fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn every_known_node_is_asked_and_the_silent_one_is_shown() {
    let dead = nobody().await;
    // The leader knows all three addresses, so the second and third are found through it.
    let second = node(vec![ok(STATUS, status(2, "follower", &json!([])))]).await;
    let seen = |id: u64, http: &str, ms: Value| json!({"id": id, "address": "", "http": http, "incarnation": 3, "last_seen_ms": ms, "clock_skew_ms": -2, "requests": 4});
    let nodes = json!([seen(1, "", json!(0)), seen(2, &second, json!(310)), seen(3, &dead, json!(9_004))]);
    let first = node(vec![ok(STATUS, status(1, "leader", &nodes))]).await;

    let ran = run(&first, &["cluster", "status"]).await;
    let shown = ran.out.replace(&first, "127.0.0.1:aaaaa").replace(&second, "127.0.0.1:bbbbb");
    // Ports have four or five digits, and the columns are as wide as the longest.
    let lines: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "cluster 5f1d",
        "leader node 1, term 4",
        "voters 1, 2, 3; 2 of 3 answered, a majority",
        "",
        "NODE HTTP STATE TERM LOG COMMITTED APPLIED SNAPSHOT SEEN SKEW REQUESTS SPECS READY",
        "1 127.0.0.1:aaaaa leader 4 1207 1207 1207 0 0 ms -2 ms 4 0a1b2c3d yes",
        "2 127.0.0.1:bbbbb follower 4 1207 1207 1190 0 310 ms -2 ms 4 0a1b2c3d no",
        &format!("3 {dead} no answer"),
        "! node 1: node 3 is silent\\u{7}",
        "! node 2: not ready: 17 entries behind",
        "! node 3: no answer: Connection refused (os error 111)",
    ];
    assert_eq!(lines, expected);
    assert_eq!((ran.err.as_str(), ran.exit), ("", Exit::Done));
}

#[tokio::test]
async fn a_cluster_that_does_not_answer_has_its_own_exit_code() {
    let ran = run(&nobody().await, &["cluster", "status"]).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    assert!(ran.out.contains("Connection refused"), "{}", ran.out);
    assert_eq!(ran.err, "error: no node answered\nnext: check that the nodes run, and the addresses\n");
}
