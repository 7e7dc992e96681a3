//! A leader that is stopped for a while, and still takes itself for the leader when it goes on.

use std::time::Instant;

use nix::sys::signal::Signal;
use tokio::task::JoinSet;

use crate::harness::{Cluster, Rounds, Spread, wire::Wire};

/// How many clients ask the old leader at the moment it goes on.
const READERS: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_paused_answers_no_stale_read() {
    let rounds = Rounds::or(3);
    let mut cluster = Cluster::start().await;
    let mut pauses = Vec::new();
    let mut answers = 0;
    let mut refusals = 0;
    for round in 1..=rounds.count {
        let leader = cluster.leader().await;
        let before = format!("before pause {round}");
        put(&cluster, leader, &before).await;
        let mut readers = connected(&cluster, leader).await;

        let stopped = Instant::now();
        cluster.node(leader).pause();
        let value = format!("written in pause {round}");
        let other = cluster.others(leader)[round % 2];
        put(&cluster, other, &value).await;
        pauses.push(stopped.elapsed());

        // Half of the reads lie in its sockets when it wakes, the others come right after.
        let late = readers.split_off(READERS / 2);
        let mut reads = JoinSet::new();
        for mut wire in readers {
            wire.send(b"GET /cluster/v1/variables/a HTTP/1.1\r\nHost: capstan\r\n\r\n").await.unwrap();
            reads.spawn(async move { wire.answer(false).await });
        }
        cluster.node(leader).signal(Signal::SIGCONT);
        for mut wire in late {
            reads.spawn(async move { wire.call("GET", "/cluster/v1/variables/a", &[], b"").await });
        }
        while let Some(read) = reads.join_next().await {
            let answer = read.unwrap().unwrap();
            match answer.status {
                200 => {
                    assert_eq!(answer.text(), value, "stale, round {round}");
                    answers += 1;
                }
                503 => refusals += 1,
                _ => panic!("{answer:?}"),
            }
        }
        cluster.all_ready().await;
    }
    assert!(answers > 0, "no read was answered at all");
    let pauses = Spread::of(pauses);
    println!(
        "paused leaders: write elsewhere succeeded after {pauses}; reads at the old leader: {answers} answers, none stale, \
         {refusals} refused"
    );
    cluster.end().await;
}

/// Writes through one node until it says that the write has happened.
async fn put(cluster: &Cluster, node: u64, value: &str) {
    let address = cluster.nodes.iter().find(|known| known.id == node).expect("there are three nodes").http;
    let mut wire = Wire::to(address);
    crate::harness::until("a write", async || {
        let answer = wire.call("PUT", "/cluster/v1/variables/a", &[], value.as_bytes()).await;
        answer.is_ok_and(|answer| matches!(answer.status, 200 | 201)).then_some(())
    })
    .await;
}

/// Connections to a node over which it has answered once.
async fn connected(cluster: &Cluster, node: u64) -> Vec<Wire> {
    let address = cluster.nodes.iter().find(|known| known.id == node).expect("there are three nodes").http;
    let mut wires = Vec::new();
    for _ in 0..READERS {
        let mut wire = Wire::to(address);
        assert_eq!(wire.call("GET", "/health", &[], b"").await.unwrap().status, 200);
        wires.push(wire);
    }
    wires
}
