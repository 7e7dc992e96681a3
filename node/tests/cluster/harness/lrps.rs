//! Long-running processes of tests, and what there is of them.

use std::net::SocketAddr;

use capstan_client::receptor::{ActualLrp, ActualLrpState};
use nix::{
    errno::Errno,
    sys::signal::kill,
    unistd::{Pid, geteuid},
};
use serde_json::{Value, json};

use super::{Cluster, until, wire::Wire};

/// The guid of the LRP that [`serving`] makes, and that the others ask for.
pub(crate) const GUID: &str = "some-app";

/// Answers over HTTP with the files of its folder, among them its process id.
pub(crate) const SERVES: &str = "echo $$ > pid; exec python3 -m http.server $CAPSTAN_PORT_8080";

/// Runs a script for /bin/sh, as whoever may.
pub(crate) fn script(text: &str) -> Value {
    let user = if geteuid().is_root() { "root" } else { "anybody" };
    json!({ "run": { "path": "/bin/sh", "args": ["-c", text], "user": user } })
}

/// So many instances that answer; [`pid`] asks them.
pub(crate) fn serving(instances: u32) -> Value {
    json!({
        "process_guid": GUID,
        "domain": "tests",
        "rootfs": "preloaded:host",
        "instances": instances,
        "memory_mb": 64,
        "ports": [8080],
        "action": script(SERVES),
    })
}

/// Calls a node that runs, and expects this answer.
pub(crate) async fn call(
    cluster: &mut Cluster,
    method: &str,
    path: &str,
    body: &Value,
    status: u16,
) -> Value {
    let body = serde_json::to_vec(body).unwrap();
    let answer = Wire::to(cluster.running().http).call(method, path, &[], &body).await.unwrap();
    assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// Desires an LRP.
pub(crate) async fn desire(cluster: &mut Cluster, body: &Value) {
    call(cluster, "POST", "/v1/desired_lrps", body, 201).await;
}

/// What there is of the LRP, by index.
pub(crate) async fn actual(cluster: &mut Cluster) -> Vec<ActualLrp> {
    actual_at(cluster.running().http).await
}

/// The same, of this node.
pub(crate) async fn actual_at(http: SocketAddr) -> Vec<ActualLrp> {
    let path = format!("/v1/actual_lrps/{GUID}");
    let answer = Wire::to(http).call("GET", &path, &[], b"").await;
    // A leader may just have been killed: then there is no answer to be had yet.
    let Ok(answer) = answer else { return vec![] };
    if answer.status == 200 { serde_json::from_slice(&answer.body).unwrap() } else { vec![] }
}

/// Waits until so many instances run, all of them as asked for.
pub(crate) async fn running(
    cluster: &mut Cluster,
    count: usize,
    mut is_wanted: impl FnMut(&ActualLrp) -> bool,
) -> Vec<ActualLrp> {
    until("running instances", async || {
        let actual = actual(cluster).await;
        let is_running = |lrp: &ActualLrp| lrp.state == ActualLrpState::Running && !lrp.evacuating;
        (actual.len() == count && actual.iter().all(|lrp| is_running(lrp) && is_wanted(lrp)))
            .then_some(actual)
    })
    .await
}

/// The process id of an instance, as it tells it itself.
pub(crate) async fn pid(lrp: &ActualLrp) -> i32 {
    assert_eq!(lrp.ports[0].container_port, 8080, "{lrp:?}");
    let address = format!("{}:{}", lrp.address, lrp.ports[0].host_port).parse().unwrap();
    until("an instance's answer", async || {
        let answer = Wire::to(address).call("GET", "/pid", &[], b"").await.ok()?;
        answer.text().trim().parse().ok()
    })
    .await
}

/// The process ids of instances.
pub(crate) async fn pids(lrps: &[ActualLrp]) -> Vec<i32> {
    futures::future::join_all(lrps.iter().map(pid)).await
}

/// Waits until none of these processes is there any more.
pub(crate) async fn all_dead(pids: &[i32]) {
    until("the end of processes", async || {
        pids.iter().all(|pid| kill(Pid::from_raw(*pid), None) == Err(Errno::ESRCH)).then_some(())
    })
    .await;
}

/// The node that an instance runs on.
pub(crate) fn node_of(lrp: &ActualLrp) -> u64 {
    lrp.cell_id.strip_prefix("cell-").and_then(|node| node.parse().ok()).expect("it runs on a cell")
}
