//! What a write left, every later read finds, on any node.

use crate::harness::{Cluster, Rounds, wire::Wire};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_at_once_on_another_node_is_never_stale() {
    let rounds = Rounds::or(100);
    let cluster = Cluster::start().await;
    let mut wires: Vec<_> = cluster.nodes.iter().map(|node| Wire::to(node.http)).collect();
    let mut stale_answers = 0;
    for round in 0..rounds.count {
        let path = format!("/cluster/v1/variables/read-{}", round % 7);
        // All six ordered pairs of two nodes take their turn.
        let writer = round % 3;
        let reader = (writer + 1 + round / 3 % 2) % 3;
        let value = format!("value {round}");

        let put = wires[writer].call("PUT", &path, &[], value.as_bytes()).await.unwrap();
        assert!(matches!(put.status, 200 | 201), "{put:?}");
        let index = put.header("x-capstan-index").expect("every answer has its index").to_owned();

        let stale = wires[reader].call("GET", &format!("{path}?consistency=stale"), &[], b"").await.unwrap();
        let is_older = stale.status == 404 || stale.revision() < put.revision();
        stale_answers += usize::from(is_older);
        assert!(is_older || stale.text() == value, "round {round}: {stale:?}");

        let query = format!("{path}?consistency=stale");
        let at_index = wires[reader].call("GET", &query, &[("X-Capstan-Index", &index)], b"").await.unwrap();
        assert_eq!((at_index.status, at_index.text()), (200, value.clone()), "at an index, round {round}");

        let read = wires[reader].call("GET", &path, &[], b"").await.unwrap();
        assert_eq!((read.status, read.text()), (200, value), "linearizable, round {round}");
        assert_eq!(read.revision(), put.revision());
    }
    println!("{} rounds: no stale answer; asked for stale ones, {stale_answers} were", rounds.count);
    cluster.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_at_once_without_any_other_call_between_is_never_stale() {
    let rounds = Rounds::or(200);
    let cluster = Cluster::start().await;
    let mut wires: Vec<_> = cluster.nodes.iter().map(|node| Wire::to(node.http)).collect();
    for round in 0..rounds.count {
        let value = format!("value {round}");
        let (writer, reader) = (round % 3, (round + 1 + round / 3 % 2) % 3);
        let put = wires[writer].call("PUT", "/cluster/v1/variables/a", &[], value.as_bytes()).await.unwrap();
        assert!(matches!(put.status, 200 | 201), "{put:?}");
        let read = wires[reader].call("GET", "/cluster/v1/variables/a", &[], b"").await.unwrap();
        assert_eq!(read.text(), value, "node {} after node {}, round {round}", reader + 1, writer + 1);
    }
    println!("{} rounds: no stale answer", rounds.count);
    cluster.end().await;
}
