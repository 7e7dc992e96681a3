//! `capstan cell` as its user sees it.

use serde_json::{Value, json};

use crate::{
    failure::Exit,
    testing::{Reply, node, ok, run},
};

const CELL: &str = "GET /cluster/v1/cells/cell-2 ";
const DRAIN: &str = "POST /cluster/v1/nodes/2/drain ";

/// Has one task as long as it is open.
fn cell(state: &str, instances: u64) -> Value {
    let tasks = u64::from(state == "open");
    json!({
        "cell_id": "cell-2", "node": 2, "zone": "z1", "state": state,
        "capacity": {"memory_mb": 1024, "disk_mb": 2048, "containers": 256},
        "used": {"memory_mb": 100, "disk_mb": 0, "containers": instances + tasks}, "instances": instances, "tasks": tasks,
        "rootfs_providers": {"docker": [], "preloaded": ["host", "cflinuxfs2"]},
        "own_network": true, "unlimited": [{"limit": "cpu", "reason": "no controller"}],
    })
}

fn detail(state: &str, instances: u64) -> String {
    detail_of(state, instances, "")
}

/// As [`detail`], with instances whose replacements found no cell.
fn detail_of(state: &str, instances: u64, error: &str) -> String {
    let mut cell = cell(state, instances);
    let hosted = |index| {
        json!({"process_guid": "web", "index": index, "state": "RUNNING", "since": 1_795_184_040_000_000_000_i64,
            "evacuating": state == "evacuating", "replacement_error": error, "stopping": false})
    };
    cell["hosted"] = (0..instances).map(hosted).collect();
    cell["task_guids"] = if state == "open" { json!(["t1"]) } else { json!([]) };
    cell.to_string()
}

fn drained() -> Reply {
    Reply { call: DRAIN, status: "202 Accepted", body: json!({"id": 2, "draining": true}).to_string() }
}

#[tokio::test]
async fn cells_are_listed_with_what_is_taken() {
    let list = json!([cell("open", 1)]).to_string();
    let node = node(vec![ok("GET /cluster/v1/cells ", list)]).await;
    let ran = run(&node, &["cell", "ls"]).await;
    let expected = "\
CELL    NODE  ZONE  STATE  MEMORY           DISK           CONTAINERS  INSTANCES  TASKS
cell-2     2  z1    open   100 of 1024 MiB  0 of 2048 MiB    2 of 256          1      1
";
    assert_eq!((&*ran.out, ran.exit), (expected, Exit::Done));
    let ran = run(&node, &["cell", "ls", "-o", "json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), json!([cell("open", 1)]));
}

#[tokio::test]
async fn a_cell_is_shown_with_what_it_has() {
    let node = node(vec![ok(CELL, detail("open", 2))]).await;
    let ran = run(&node, &["cell", "show", "cell-2"]).await;
    let expected = "\
cell         cell-2
node         2
zone         z1
state        open
memory       100 of 1024 MiB
disk         0 of 2048 MiB
containers   3 of 256
network      one for each, with nothing but loopback
not limited  cpu: no controller
rootfs       docker:…, preloaded:host, preloaded:cflinuxfs2
instances    2
tasks        t1

GUID  INDEX  STATE  SINCE      WHY
web       0  runs   3 min ago
web       1  runs   3 min ago
";
    assert_eq!(ran.out, expected);
    let ran = run(&node, &["cell", "show", "cell-9"]).await;
    assert_eq!(ran.exit, Exit::NotFound);
    assert!(ran.err.ends_with("next: capstan cell ls shows the cells\n"), "{}", ran.err);
}

#[tokio::test]
async fn a_cell_is_evacuated_by_draining_its_node() {
    let replies = vec![
        ok(CELL, detail("open", 2)),
        drained(),
        ok(CELL, detail("open", 2)),
        ok(CELL, detail("evacuating", 1)),
        ok(CELL, detail("evacuating", 0)),
    ];
    let ran = run(&node(replies).await, &["cell", "evacuate", "cell-2", "--wait"]).await;
    assert_eq!((&*ran.out, ran.exit), ("cell-2 is empty\n", Exit::Done));
    let expected = "\
cell-2 has 2 instances and 1 task left
cell-2 has 1 instance left
next: capstan node undrain 2 lets it take work again
";
    assert_eq!(ran.err, expected);
}

#[tokio::test]
async fn an_evacuation_that_finds_no_other_cell_goes_on_and_says_for_what() {
    let error = "insufficient resources: memory";
    let replies = vec![ok(CELL, detail("open", 1)), drained(), ok(CELL, detail_of("evacuating", 2, error))];
    let line = ["cell", "evacuate", "cell-2", "--wait", "--wait-max", "300ms"];
    let ran = run(&node(replies).await, &line).await;
    let expected = "\
cell-2 has 2 instances left
web/0 goes on, without another cell: insufficient resources: memory
web/1 goes on, without another cell: insufficient resources: memory
error: cell-2 still has 2 instances after 300ms; no other cell takes web/0 (insufficient resources: memory), \
web/1 (insufficient resources: memory); nothing of it is stopped, and the evacuation goes on
next: make room (capstan lrp explain web says what each cell lacks), or capstan node undrain 2 lets cell-2 take work again
";
    assert_eq!((&*ran.err, ran.exit), (expected, Exit::Unknown));

    let still = node(vec![ok(CELL, detail_of("evacuating", 1, error))]).await;
    let shown = run(&still, &["cell", "show", "cell-2"]).await.out;
    let expected = "\
GUID  INDEX  STATE                           SINCE      WHY
web       0  goes on until another one runs  3 min ago  no other cell: insufficient resources: memory
";
    assert!(shown.ends_with(expected), "{shown}");
}

#[tokio::test]
async fn an_evacuation_that_takes_long_goes_on() {
    let node = node(vec![ok(CELL, detail("evacuating", 1)), drained()]).await;
    let line = ["cell", "evacuate", "cell-2", "--wait", "--wait-max", "300ms"];
    let ran = run(&node, &line).await;
    assert_eq!(ran.exit, Exit::Unknown);
    assert!(
        ran.err.contains("cell-2 still has 1 instance after 300ms; the evacuation goes on"),
        "{}",
        ran.err
    );
}
