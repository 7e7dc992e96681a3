//! Nodes that die without a word, while clients write.

use std::time::{Duration, Instant};

use crate::{
    harness::{Cluster, Rounds, Spread},
    writers::Writers,
};

const WRITERS: usize = 64;
/// The longest pause of writes that ninety-nine of a hundred deaths of a leader may cause, in milliseconds.
const PAUSE_BUDGET_MS: u128 = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_costs_a_pause_and_no_write() {
    let rounds = Rounds::or(3);
    let mut cluster = Cluster::start().await;
    let writers = Writers::start(&cluster, WRITERS);
    let mut pauses = Vec::new();
    for round in 1..=rounds.count {
        // The moment of the kill is random by being that of a random write.
        writers.progress(rand::random_range(64..1_000)).await;
        let leader = cluster.leader().await;
        let killed = Instant::now();
        cluster.node(leader).kill();
        let pause = pause(&writers, killed, Instant::now()).await;
        println!("kill {round}: node {leader} led, writes paused for {} ms", pause.as_millis());
        pauses.push(pause);
        cluster.node(leader).start();
        cluster.all_ready().await;
    }
    let summary = writers.stop_and_verify().await;
    let pauses = Spread::of(pauses);
    println!("killed leaders: pause {pauses}; {summary}");
    if rounds.is_proof {
        assert!(pauses.percentile(99).as_millis() <= PAUSE_BUDGET_MS, "{pauses}");
    }
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_killed_nodes_come_back_with_every_write() {
    let rounds = Rounds::or(2);
    let mut cluster = Cluster::start().await;
    let writers = Writers::start(&cluster, WRITERS);
    let mut pauses = Vec::new();
    for round in 1..=rounds.count {
        writers.progress(rand::random_range(64..1_000)).await;
        let killed = Instant::now();
        for node in &mut cluster.nodes {
            node.kill();
        }
        let dead = Instant::now();
        for node in &mut cluster.nodes {
            node.start();
        }
        let pause = pause(&writers, killed, dead).await;
        println!("round {round}: all killed and started, writes paused for {} ms", pause.as_millis());
        pauses.push(pause);
        cluster.all_ready().await;
    }
    let summary = writers.stop_and_verify().await;
    println!("all nodes killed: pause {}; {summary}", Spread::of(pauses));
    cluster.end().await;
}

/// How long after `killed` a write succeeded; only those sent when the dead were `dead` count.
async fn pause(writers: &Writers, killed: Instant, dead: Instant) -> Duration {
    dead.duration_since(killed) + writers.first_success_after(dead).await
}
