//! `capstan lrp` as its user sees it.

mod changes;
mod reading;
mod streams;

use serde_json::{Value, json};

use crate::testing::{Reply, ok};

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
