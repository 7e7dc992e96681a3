//! Streams that go on at another node.

use http::{HeaderMap, StatusCode};

use crate::{
    node::surface,
    streams::{Blocks, Next, follow, open},
    three_nodes::{Cluster, put, until},
};

const VARIABLES: &str = "/cluster/v1/events?kind=variable";

fn index(headers: &HeaderMap) -> u64 {
    headers["x-capstan-index"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_reader_goes_on_at_another_node_once_that_has_caught_up() {
    let cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let away = if leader == 3 { 2 } else { 3 };
    let (here, there) = (surface(cluster.node(leader)), surface(cluster.node(away)));
    let mut reader = follow(&here, VARIABLES, None).await;
    put(cluster.node(leader), "a", 1).await.unwrap();
    let first = reader.event().await;
    let follower = cluster.node(away).clone();
    until("the other node has it, too", || follower.view().state().history.next() > 0).await;
    assert_eq!(follow(&there, VARIABLES, Some("0-0")).await.event().await, first, "everywhere the same");

    cluster.net.isolate(away);
    put(cluster.node(leader), "b", 1).await.unwrap();
    put(cluster.node(leader), "c", 1).await.unwrap();
    let (second, third) = (reader.event().await, reader.event().await);
    drop(reader);
    // What it has it tells; what it has not it does not take for another cluster's.
    let mut behind = follow(&there, &format!("{VARIABLES}&consistency=stale"), Some(&first.id)).await;
    assert_eq!(open(&there, VARIABLES, Some(&second.id)).await.status(), StatusCode::SERVICE_UNAVAILABLE);

    cluster.net.heal();
    let answer = open(&there, VARIABLES, Some(&second.id)).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let (reached, _) = second.id.split_once('-').unwrap();
    assert!(index(answer.headers()) >= reached.parse().unwrap(), "it has waited");
    let mut reader = Blocks::new(answer.into_body());
    assert_eq!(reader.event().await, third);
    assert_eq!(behind.event().await, second, "nothing was passed over meanwhile");
    assert_eq!(behind.event().await, third);
}

#[tokio::test]
async fn who_follows_a_node_that_is_cut_off_is_sent_to_another() {
    let cluster = Cluster::start().await;
    let away = if cluster.leader().await == 3 { 2 } else { 3 };
    let there = surface(cluster.node(away));
    let mut reader = follow(&there, VARIABLES, None).await;
    cluster.net.isolate(away);
    while reader.any().await != Next::Broken {}
    let refused = open(&there, VARIABLES, Some("0-0")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    cluster.net.heal();
    let node = cluster.node(away).clone();
    until("the node is in touch again", || node.is_acknowledged()).await;
    drop(follow(&there, VARIABLES, Some("0-0")).await);
}
