//! What the settings say of how many finished requests are kept, on nodes that die and change their leader.

use std::{collections::BTreeSet, time::Instant};

use capstan_client::{
    CallError, ReadOptions,
    spin_cycle::{CreateRequest, RequestFilter, State},
};
use futures::{StreamExt, stream};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Cluster, cli::User, until};

/// The fewest that the setting may keep.
const KEPT: usize = 1_000;
/// How many more than that there are at first.
const OLD: usize = 60;
/// How many come later.
const LATER: usize = 40;
/// How many are created at a time.
const IN_FLIGHT: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_many_leaves_all_nodes_and_what_is_kept_or_runs_stays() {
    let mut cluster = Cluster::start().await;
    let user = User::of(&cluster.addresses(&[2]));
    // It is the oldest of all, and does not end.
    let waits = create(&mut cluster, 1, "asking", json!({})).await;
    let old = run(&mut cluster, "1", OLD).await;
    let kept = run(&mut cluster, "2", KEPT).await;
    for days in ["0", "3651", "4294967297", "18446744073709551616"] {
        let refused = user.run(&["settings", "set", "archive_days", days]).await;
        assert_eq!(refused.code, 1, "{refused:?}");
        assert!(refused.err.contains(&format!("{days} is not between 1 and 3650")), "{refused:?}");
    }
    user.done(&["settings", "set", "archive_days", "1"]).await;
    user.done(&["settings", "set", "archive_requests_max", &KEPT.to_string()]).await;

    // Whoever leads next looks at once, under the setting that is in the log.
    let first = cluster.leader().await;
    let begun = Instant::now();
    cluster.node(first).kill();
    let second = cluster.leader_other_than(Some(first)).await;
    for node in cluster.others(first) {
        until("the oldest to leave", async || is_gone(&mut cluster, node, &old).await.then_some(())).await;
        holds(&mut cluster, node, &kept, &waits).await;
    }
    println!("{OLD} requests have left {} ms after their leader was killed", begun.elapsed().as_millis());
    cluster.node(first).start();
    cluster.all_ready().await;
    until("the node that was away to follow", async || {
        is_gone(&mut cluster, first, &old).await.then_some(())
    })
    .await;
    holds(&mut cluster, first, &kept, &waits).await;

    // With later ones, the next of the oldest leave; also from a node that is stopped meanwhile, and starts again.
    let follower = cluster.others(second)[0];
    cluster.node(follower).signal(Signal::SIGTERM);
    cluster.node(follower).exit().await;
    let later = run(&mut cluster, "3", LATER).await;
    let begun = Instant::now();
    cluster.node(follower).start();
    cluster.all_ready().await;
    for node in 1..=3 {
        let kept_now = until("as many of the kept to leave as have come", async || {
            let left = listed(&mut cluster, node, "2").await;
            (left.len() == KEPT - LATER).then_some(left)
        })
        .await;
        assert!(kept_now.is_subset(&kept));
        assert_eq!(listed(&mut cluster, node, "3").await, later);
    }
    println!("{LATER} more have left {} ms after those that replace them came", begun.elapsed().as_millis());
    let client = cluster.node(3).client();
    until("an owner of what waits", async || {
        let waiting = client.request_detail(&waits, ReadOptions::default()).await.unwrap();
        (waiting.state == "RUNNING").then_some(())
    })
    .await;
    cluster.end().await;
}

async fn create(cluster: &mut Cluster, node: u64, kind: &str, args: serde_json::Value) -> String {
    let create = CreateRequest { kind: kind.to_owned(), args: args.as_object().cloned() };
    cluster.node(node).client().create_request(&create).await.unwrap().id
}

/// Runs so many requests through all running nodes, waits until they have ended, and returns their ids. `first` tells them from others.
async fn run(cluster: &mut Cluster, first: &str, count: usize) -> BTreeSet<String> {
    let running = cluster.nodes.iter_mut().filter_map(|node| node.is_running().then(|| node.client()));
    let clients: Vec<_> = running.collect();
    let create =
        CreateRequest { kind: "in-steps".to_owned(), args: json!({ "first": first }).as_object().cloned() };
    let created = (0..count).map(|number| clients[number % clients.len()].create_request(&create));
    let created: BTreeSet<String> =
        stream::iter(created).buffer_unordered(IN_FLIGHT).map(|created| created.unwrap().id).collect().await;
    assert_eq!(created.len(), count);
    until("requests to end", async || {
        let filter = RequestFilter { states: vec![State::Running, State::Pending], ..of(first) };
        let live = clients[0].requests(&filter, ReadOptions::default()).await.unwrap();
        live.is_empty().then_some(())
    })
    .await;
    created
}

fn of(first: &str) -> RequestFilter {
    let args = vec![("first".to_owned(), first.to_owned())];
    RequestFilter { kind: Some("in-steps".to_owned()), args, ..RequestFilter::default() }
}

/// What a node finds of those that `first` tells.
async fn listed(cluster: &mut Cluster, node: u64, first: &str) -> BTreeSet<String> {
    let filter = RequestFilter { states: vec![State::Complete], ..of(first) };
    let found = cluster.node(node).client().requests(&filter, ReadOptions::default()).await.unwrap();
    found.into_iter().map(|request| request.id).collect()
}

/// Whether a node finds none of these, whichever way it looks.
async fn is_gone(cluster: &mut Cluster, node: u64, old: &BTreeSet<String>) -> bool {
    if !listed(cluster, node, "1").await.is_empty() {
        return false;
    }
    let client = cluster.node(node).client();
    for id in old {
        let missing = client.request(id, ReadOptions::default()).await.unwrap_err();
        assert!(matches!(missing, CallError::Refused { status: 404, .. }), "{missing}");
        let missing = client.request_log(id, ReadOptions::default()).await;
        assert!(missing.is_err() || missing.is_ok_and(|log| log.is_empty()), "a log of {id} is left");
    }
    true
}

/// Sees that a node finds all of these, and what waits, each with its log.
async fn holds(cluster: &mut Cluster, node: u64, kept: &BTreeSet<String>, waits: &str) {
    assert_eq!(listed(cluster, node, "2").await, *kept, "node {node}");
    let client = cluster.node(node).client();
    let all = client.requests(&RequestFilter::default(), ReadOptions::default()).await.unwrap();
    assert_eq!(all.len(), KEPT + 1, "those, and the one that waits");
    assert!(all.iter().any(|request| request.id == waits), "what runs does not leave");
    for id in kept.iter().step_by(KEPT / 10) {
        assert_eq!(client.request_log(id, ReadOptions::default()).await.unwrap().len(), 6, "node {node}");
    }
}
