//! A follower that was away so long that the log it needs is gone.

use std::time::Instant;

use crate::{
    harness::{Cluster, Plan, Rounds, until},
    writers::Writers,
};

/// Many, since a batch is as large as the crowd that waits for the one before.
const WRITERS: usize = 256;
/// How many entries Raft keeps behind a snapshot.
const ENTRIES_KEPT: u64 = 256;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_away_comes_back_by_snapshot_while_writes_go_on() {
    // A proof counts writes here, which may be many.
    let rounds = Rounds::or(10_000);
    let timing = if rounds.is_proof { "snapshot_bytes = \"16MiB\"" } else { "snapshot_bytes = \"256KiB\"" };
    let mut cluster = Cluster::start_as(Plan { timing, ..Plan::default() }).await;
    let leader = cluster.leader().await;
    let away = cluster.others(leader)[0];
    let writers = Writers::start(&cluster, WRITERS);
    writers.progress(1_000).await;
    let left_at = cluster.node(away).status().await.unwrap().last_log;
    cluster.node(away).kill();

    let begun = Instant::now();
    // In steps, since a million takes longer than a condition may.
    for _ in 0..rounds.count / 1_000 {
        writers.progress(1_000).await;
    }
    let took = begun.elapsed();
    // A snapshot lets the leader forget what the follower needs next, but only when its present attempt to send that has
    // failed; by the next snapshot it has.
    let first = snapshot_past(left_at + 2 * ENTRIES_KEPT, &cluster).await;
    snapshot_past(first, &cluster).await;

    let returned = Instant::now();
    cluster.node(away).start();
    cluster.node(away).ready().await;
    let leader = cluster.leader().await;
    let goal = cluster.node(leader).status().await.unwrap().committed;
    let node = cluster.node(away);
    let status =
        until("the follower to catch up", async || node.status().await.filter(|s| s.applied >= goal)).await;
    let back_after = returned.elapsed();
    assert!(node.logged("installing a snapshot") > 0, "it came back by log alone: {status:?}");
    assert!(status.snapshot > left_at, "{status:?}");

    let installed = status.snapshot;
    let agreed_at = cluster.states_agree(installed, async || writers.progress(50).await).await;
    let summary = writers.stop_and_verify().await;
    println!(
        "{} writes in {took:.1?} ({:.0} a second) while node {away} was away at index {left_at}; back by a snapshot of \
         {installed}, level at {goal} after {back_after:.1?}; states equal at {agreed_at}; {summary}",
        rounds.count,
        rounds.count as f64 / took.as_secs_f64(),
    );
    cluster.end().await;
}

/// Waits until the leader's newest snapshot goes past `index`, and returns how far it goes.
async fn snapshot_past(index: u64, cluster: &Cluster) -> u64 {
    until("a snapshot of the leader", async || {
        let leader = cluster.leader().await;
        let status = cluster.nodes.iter().find(|node| node.id == leader)?.status().await?;
        (status.snapshot > index).then_some(status.snapshot)
    })
    .await
}
