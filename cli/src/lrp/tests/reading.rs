//! What shows LRPs and changes nothing.

use serde_json::{Value, json};

use super::{actual, desired, instances, unplaced, wanted};
use crate::{
    failure::Exit,
    testing::{Reply, node, ok, run},
};

#[tokio::test]
async fn lrps_are_listed_with_how_much_of_them_runs() {
    let all = [actual(0, "RUNNING"), unplaced(1, "x"), actual(2, "CRASHED")];
    let replies = vec![
        ok("GET /v1/desired_lrps?domain=d ", json!([desired(3)]).to_string()),
        ok("GET /v1/actual_lrps?domain=d ", Value::from(all.to_vec()).to_string()),
    ];
    let ran = run(&node(replies).await, &["lrp", "ls", "--domain", "d"]).await;
    let expected = "\
GUID  DOMAIN  RUNNING  TROUBLE                      MEMORY   ROOTFS
web   d       1 of 3   1 crashed, 1 without a cell  128 MiB  preloaded:host
";
    assert_eq!(ran.out, expected);
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
            "score": score, "lacks": if verdict == "full" { json!(["memory"]) } else { json!([]) },
            "own_network": zone == "z1", "unlimited": [{"limit": "memory", "reason": format!("no group in {zone}")}]})
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
index 1 found no cell 3 min ago: insufficient resources: memory; it is tried again when a cell joins or gets room back, and every 30 s
index 2 has crashed 3 times in a row, last: Exited with status 1; it is started again in 25 s
index 3 has crashed 3 times in a row, last: Exited with status 1; it is not started again: capstan lrp kill web 3 begins anew
index 4 still runs on cell-1 in zone z1, until another one runs in its stead
index 5 was placed on cell-1 in zone z1 and is not healthy yet; its cell was asked to stop it

One more instance would go to cell-2: zone z2 has the fewest instances. Nothing that runs is ever moved.
CELL    ZONE  IN ZONE  ON CELL  SAYS
cell-1  z1          1        1  would take it, score 3.50
cell-2  z2          0        0  would take it, score 0.25
cell-3  z2          0        0  has too little left: memory
cell-4  z2          0        0  is not heard
It would have a network of its own on cell-1: it is reached through its ports, and reaches nobody itself.
Its memory would not be limited on cell-1: no group in z1.
Its memory would not be limited on cell-2, cell-3, cell-4: no group in z2.
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
    assert!(ran.err.contains("next: give a token with --token"), "{}", ran.err);
    let ran = run(&node, &guarded[..4]).await;
    assert_eq!(ran.exit, Exit::Usage);
}
