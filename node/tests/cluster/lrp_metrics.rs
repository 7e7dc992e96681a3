//! The metrics of long-running processes and tasks, as whoever scrapes a node sees them.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::{
    harness::{
        Cluster, Node,
        lrps::{GUID, call, desire, node_of, pid, running, script, serving},
        until,
        wire::Wire,
    },
    lrps::completed,
};

/// The value of a line of a node's page; `None` where there is no such line.
async fn value(node: &Node, line: &str) -> Option<f64> {
    let answer = Wire::to(node.http).call("GET", "/metrics", &[], b"").await.unwrap();
    assert_eq!(answer.status, 200);
    let page = answer.text();
    let found = page.lines().find_map(|shown| shown.strip_prefix(line)?.strip_prefix(' '));
    found.map(|value| value.parse().unwrap())
}

/// Waits until each node shows these values; a node that was not asked before may be behind.
async fn all_show(cluster: &Cluster, lines: &[(&str, f64)]) {
    for node in &cluster.nodes {
        for (line, expected) in lines {
            let what = format!("{line} {expected} of node {}", node.id);
            until(&what, async || (value(node, line).await == Some(*expected)).then_some(())).await;
        }
    }
}

/// The sum over all nodes: each counts what it does itself.
async fn sum(cluster: &Cluster, line: &str) -> f64 {
    let mut sum = 0.0;
    for node in &cluster.nodes {
        sum += value(node, line).await.unwrap_or_default();
    }
    sum
}

async fn sum_is(cluster: &Cluster, line: &str, holds: impl Fn(f64) -> bool) {
    until(line, async || holds(sum(cluster, line).await).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_shows_what_the_cluster_has_and_what_it_did_itself() {
    let mut cluster = Cluster::start().await;
    let nothing = [
        ("capstan_lrps_desired", 0.0),
        ("capstan_lrp_instances_desired", 0.0),
        ("capstan_lrp_instances{state=\"running\"}", 0.0),
        ("capstan_tasks{state=\"completed\"}", 0.0),
        ("capstan_cells{state=\"open\"}", 3.0),
        ("capstan_cells{state=\"silent\"}", 0.0),
        ("capstan_cells_containers{state=\"open\",of=\"used\"}", 0.0),
        ("capstan_http_streams_open", 0.0),
        ("capstan_cell_instances_total{what=\"started\"}", 0.0),
    ];
    all_show(&cluster, &nothing).await;

    desire(&mut cluster, &serving(2)).await;
    let lrps = running(&mut cluster, 2, |_| true).await;
    let task =
        json!({"task_guid": "t", "domain": "d", "rootfs": "preloaded:host", "action": script("exit 1")});
    call(&mut cluster, "POST", "/v1/tasks", &task, 201).await;
    completed(&mut cluster, "t").await;
    let something = [
        ("capstan_lrps_desired", 1.0),
        ("capstan_lrp_instances_desired", 2.0),
        ("capstan_lrp_instances{state=\"running\"}", 2.0),
        ("capstan_lrp_instances{state=\"unclaimed\"}", 0.0),
        ("capstan_tasks{state=\"completed\"}", 1.0),
        ("capstan_cells_containers{state=\"open\",of=\"used\"}", 2.0),
        ("capstan_cells_memory_bytes{state=\"open\",of=\"used\"}", 128.0 * 1_048_576.0),
        ("capstan_cells_containers{state=\"open\",of=\"capacity\"}", 768.0),
    ];
    all_show(&cluster, &something).await;
    for (line, count) in [
        ("capstan_cell_instances_total{what=\"started\"}", 2.0),
        ("capstan_cell_instances_total{what=\"healthy\"}", 2.0),
        ("capstan_cell_instances_total{what=\"crashed\"}", 0.0),
        ("capstan_cell_tasks_total{what=\"started\"}", 1.0),
        ("capstan_cell_tasks_total{what=\"failed\"}", 1.0),
    ] {
        assert_eq!(sum(&cluster, line).await, count, "{line}");
    }
    // A leader that is replaced meanwhile may place one once more.
    sum_is(&cluster, "capstan_auction_outcomes_total{outcome=\"placed\"}", |placed| placed >= 3.0).await;
    sum_is(&cluster, "capstan_auctions_total", |auctions| auctions >= 2.0).await;
    sum_is(&cluster, "capstan_auction_plan_seconds_count", |plans| plans >= 2.0).await;
    sum_is(&cluster, "capstan_convergence_passes_total", |passes| passes >= 1.0).await;

    // It is started again at once, here or elsewhere.
    let (crashed, process) = (node_of(&lrps[0]), pid(&lrps[0]).await);
    kill(Pid::from_raw(process), Signal::SIGKILL).unwrap();
    let line = "capstan_cell_instances_total{what=\"crashed\"}";
    until(line, async || (value(cluster.node(crashed), line).await == Some(1.0)).then_some(())).await;
    running(&mut cluster, 2, |lrp| lrp.instance_guid != lrps[0].instance_guid).await;
    assert_eq!(sum(&cluster, "capstan_cell_instances_total{what=\"started\"}").await, 3.0);

    let mut follower = Wire::to(cluster.nodes[0].http);
    let head = follower.call("GET", "/v1/events", &[], b"").await.unwrap();
    assert_eq!(head.status, 200);
    let line = "capstan_http_streams_open";
    until(line, async || (value(&cluster.nodes[0], line).await == Some(1.0)).then_some(())).await;
    follower.hang_up();
    until(line, async || (value(&cluster.nodes[0], line).await == Some(0.0)).then_some(())).await;

    call(&mut cluster, "DELETE", &format!("/v1/desired_lrps/{GUID}"), &json!(null), 204).await;
    all_show(&cluster, &[("capstan_lrps_desired", 0.0), ("capstan_lrp_instances{state=\"running\"}", 0.0)])
        .await;
    sum_is(&cluster, "capstan_cell_instances_total{what=\"stopped\"}", |stopped| stopped == 2.0).await;
    cluster.end().await;
}
