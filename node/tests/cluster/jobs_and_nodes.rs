//! Long jobs on every node, while nodes are killed and told to stop: each try begins once, and only what a node took with it is
//! tried again.

use std::collections::BTreeMap;

use nix::sys::signal::Signal;

use crate::harness::{Cluster, Rounds, beats::Beats};

/// How many jobs run, a third of them on each node.
fn jobs(rounds: Rounds) -> usize {
    if rounds.is_proof { 60 } else { 12 }
}

/// The newest try of each request, with the node that runs it.
fn running(beats: &Beats) -> BTreeMap<String, (u64, u32)> {
    let newest = |id: &String| beats.newest(id).map(|(try_no, of_try)| (of_try.node, try_no));
    beats.ids.iter().map(|id| (id.clone(), newest(id).expect("it has started"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_takes_its_own_jobs_with_it_and_no_others() {
    let rounds = Rounds::or(2);
    let mut cluster = Cluster::start().await;
    let beats = Beats::start(&mut cluster, "1", jobs(rounds)).await;
    let mut taken = 0;
    for _ in 0..rounds.count {
        let before = running(&beats);
        let leader = cluster.leader().await;
        cluster.node(leader).kill();
        cluster.leader_other_than(Some(leader)).await;
        cluster.node(leader).start();
        cluster.all_ready().await;
        beats.all_running(&cluster).await;
        let after = running(&beats);
        for (id, (node, try_no)) in &before {
            if *node == leader {
                taken += 1;
            } else {
                assert_eq!(after[id], (*node, *try_no), "{id} ran on a node that lived on");
            }
        }
    }
    beats.finish();
    let failed = beats.complete(&mut cluster).await;
    assert_eq!(failed, taken, "only what ran on a killed node has failed");
    println!(
        "{} kills of the leader under {} jobs: {taken} tries lost with it, no other",
        rounds.count,
        beats.ids.len()
    );
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_all_nodes_were_killed_every_job_goes_on() {
    let rounds = Rounds::or(1);
    let mut cluster = Cluster::start().await;
    let beats = Beats::start(&mut cluster, "1", jobs(rounds)).await;
    for _ in 0..rounds.count {
        cluster.nodes.iter_mut().for_each(crate::harness::Node::kill);
        cluster.nodes.iter_mut().for_each(crate::harness::Node::start);
        cluster.all_ready().await;
        beats.all_running(&cluster).await;
    }
    beats.finish();
    let failed = beats.complete(&mut cluster).await;
    assert_eq!(failed, rounds.count * beats.ids.len(), "every kill costs every job one try");
    println!("{} times all nodes killed under {} jobs: {failed} tries lost", rounds.count, beats.ids.len());
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_are_told_to_stop_one_by_one_lose_no_try() {
    let rounds = Rounds::or(1);
    let mut cluster = Cluster::start().await;
    let beats = Beats::start(&mut cluster, "1", jobs(rounds)).await;
    for _ in 0..rounds.count {
        for node in 1..=3 {
            cluster.node(node).signal(Signal::SIGTERM);
            let status = cluster.node(node).exit().await;
            assert!(status.success(), "node {node}: {status}");
            cluster.node(node).start();
            cluster.all_ready().await;
            beats.all_running(&cluster).await;
        }
    }
    beats.finish();
    let failed = beats.complete(&mut cluster).await;
    assert_eq!(failed, 0, "nothing is lost that was handed over");
    println!(
        "{} times every node stopped in turn under {} jobs: no try failed",
        rounds.count,
        beats.ids.len()
    );
    cluster.end().await;
}
