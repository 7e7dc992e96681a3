//! Three nodes in one process, as those above them and their peers see them.

mod common;

use std::time::Duration;

use capstan_model::ids::{ClusterId, DiskId, Incarnation};
use capstan_raft_store::{
    handle::{Consistency, ProposeError, ProposeOptions, ReadError},
    peer::{Channel, PeerIdentity},
};

use common::{Cluster, put, put_command, revision, until};

#[tokio::test]
async fn what_one_node_wrote_every_node_reads() {
    let cluster = Cluster::start().await;
    for node in [1, 2, 3] {
        let written = put(cluster.node(node), "a", 10).await.unwrap();
        for reader in [1, 2, 3] {
            assert_eq!(revision(cluster.node(reader), "a").await, Some(written), "{node} to {reader}");
        }
    }
}

#[tokio::test]
async fn a_leader_without_a_quorum_neither_writes_nor_reads_and_the_others_do() {
    let cluster = Cluster::start().await;
    let old = cluster.leader().await;
    let others: Vec<u64> = [1, 2, 3].into_iter().filter(|node| *node != old).collect();
    let before = put(cluster.node(old), "a", 10).await.unwrap();
    cluster.net.isolate(old);
    let (on_old, read_on_old, by_other) = tokio::join!(
        put(cluster.node(old), "a", 10),
        cluster.node(old).read(Consistency::Linearizable),
        put(cluster.node(others[0]), "a", 10),
    );
    assert!(on_old.is_err(), "{on_old:?}");
    assert!(matches!(read_on_old, Err(ReadError::NoLeader { .. })), "{read_on_old:?}");
    let after = by_other.expect("the others elect and write within the deadline");
    assert!(after > before);
    assert_eq!(revision(cluster.node(others[1]), "a").await, Some(after));
    cluster.net.heal();
    // The old leader's own entry was never committed; a write whose outcome is unknown may at most come after.
    assert!(revision(cluster.node(old), "a").await >= Some(after));
    put(cluster.node(old), "b", 10).await.expect("it writes through the new leader");
}

#[tokio::test]
async fn a_follower_that_was_away_catches_up_in_frames_of_their_bound() {
    let cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let away = if leader == 3 { 2 } else { 3 };
    cluster.net.isolate(away);
    let largest = capstan_model::command::COMMAND_BYTES_MAX - 64;
    // What a variable may hold is for apply to say; the log carries it all the same.
    for bytes in [largest, 900 << 10, 900 << 10, largest, largest] {
        let told = cluster.node(leader).propose(put_command("big", bytes), ProposeOptions::client()).await;
        told.expect("two of three commit it").reply.expect_err("apply refuses it");
    }
    let last = put(cluster.node(leader), "a", 10).await.unwrap();
    cluster.net.heal();
    let follower = cluster.node(away).clone();
    let name = "a".parse().unwrap();
    until("it has caught up", || {
        follower.view().state().variables.get(&name).is_some_and(|variable| variable.revision == last)
    })
    .await;
}

#[tokio::test]
async fn a_wiped_voter_is_refused_and_founds_nothing() {
    let mut cluster = Cluster::start().await;
    let written = put(cluster.node(2), "a", 10).await.unwrap();
    cluster.stop(1).await;
    cluster.wipe(1);
    cluster.up(1).await;
    let wiped = cluster.node(1).clone();
    let (own, theirs) = (cluster.service(1), cluster.service(2));
    let refusal = theirs.admit(&own.identity()).unwrap_err();
    assert!(refusal.contains("needs a new node id"), "{refusal}");
    assert_eq!(revision(cluster.node(2), "a").await, Some(written), "the others go on");
    put(cluster.node(3), "b", 10).await.unwrap();
    let status = wiped.status();
    assert_eq!((status.cluster_id, status.last_log, status.term), (None, 0, 0), "it took no part");
}

#[tokio::test]
async fn a_voter_with_data_keeps_the_founder_from_founding() {
    let mut cluster = Cluster::down();
    cluster.net.claim_data(3);
    for node in [1, 2, 3] {
        cluster.up(node).await;
    }
    until("the founder was told", || cluster.net.told_not_empty() > 0).await;
    // Long enough to found a cluster three times over.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.net.told_not_empty(), 1, "it does not ask again");
    for node in [1, 2, 3] {
        let status = cluster.node(node).status();
        assert_eq!((status.term, status.voters, status.cluster_id), (0, vec![], None), "node {node}");
    }
}

#[tokio::test]
async fn a_peer_is_known_by_cluster_disk_and_life() {
    let cluster = Cluster::start().await;
    let (one, two) = (cluster.service(1), cluster.service(2));
    let identity = two.identity();
    assert_eq!(one.admit(&identity), Ok(()));
    let life = identity.incarnation;
    let cases = [
        ("another cluster", PeerIdentity { cluster: Some(ClusterId(5)), ..identity.clone() }),
        ("another disk", PeerIdentity { disk: DiskId(5), ..identity.clone() }),
        (
            "an older life",
            PeerIdentity { incarnation: Incarnation { boot: life.boot - 1, ..life }, ..identity.clone() },
        ),
        (
            "a copy of this life",
            PeerIdentity { incarnation: Incarnation { nonce: life.nonce + 1, ..life }, ..identity.clone() },
        ),
        ("this node itself", one.identity()),
        ("another version", PeerIdentity { cluster_version: 99, ..identity.clone() }),
    ];
    for (name, peer) in cases {
        assert!(one.admit(&peer).is_err(), "{name}");
    }
    let next = Incarnation { boot: life.boot + 1, nonce: life.nonce + 1, ..life };
    assert_eq!(one.admit(&PeerIdentity { incarnation: next, ..identity }), Ok(()));
}

#[tokio::test]
async fn a_stopped_node_lets_go_of_its_folder_and_says_that_nothing_happened() {
    let mut cluster = Cluster::start().await;
    let written = put(cluster.node(1), "a", 10).await.unwrap();
    let stopped = cluster.node(3).clone();
    cluster.stop(3).await;
    assert_eq!(put(&stopped, "a", 10).await, Err(ProposeError::ShuttingDown));
    drop(stopped);
    cluster.up(3).await;
    assert_eq!(revision(cluster.node(3), "a").await, Some(written));
}

/// Shows when a task never gives way: the test's own runtime could not.
#[test]
fn a_founder_that_is_stopped_before_the_cluster_has_its_name_ends() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut cluster = {
        let _inside = runtime.enter();
        Cluster::down()
    };
    let (stopped, waits) = std::sync::mpsc::channel();
    runtime.spawn(async move {
        // All voters say that they are empty, and no leader can be elected.
        cluster.net.mute(Channel::Raft);
        for node in [1, 2, 3] {
            cluster.up(node).await;
        }
        let founder = cluster.node(1).clone();
        until("it has founded", || !founder.status().voters.is_empty()).await;
        founder.shutdown().await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        stopped.send(()).expect("the test waits");
    });
    let ended = waits.recv_timeout(Duration::from_secs(60));
    runtime.shutdown_background();
    ended.expect("the runtime still turns");
}
