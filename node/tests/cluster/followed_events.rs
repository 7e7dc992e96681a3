//! Events followed while the nodes that send them are killed: none is missed, and none comes twice.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use capstan_client::{Client, ClientOptions};
use serde_json::json;
use tokio::time::sleep;

use crate::harness::{
    Cluster, PATIENCE, Rounds, events,
    lrps::{GUID, desire, serving},
    wire::Wire,
};

/// How long nothing is changed after a change that failed.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// Changes the annotation of the LRP again and again: each makes an event, and a change whose end is unknown perhaps two.
async fn change(http: SocketAddr, count: usize, changed: Arc<AtomicUsize>) {
    let mut wire = Wire::to(http);
    let path = format!("/v1/desired_lrps/{GUID}");
    for number in 1..=count {
        let body = json!({ "annotation": number.to_string() }).to_string();
        let begun = Instant::now();
        while !wire.call("PUT", &path, &[], body.as_bytes()).await.is_ok_and(|answer| answer.status == 204) {
            assert!(begun.elapsed() < PATIENCE, "nothing can be changed any more");
            sleep(RETRY_EVERY).await;
        }
        changed.store(number, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_followed_through_killed_nodes_have_no_gap() {
    let count = Rounds::or(600).count.max(3);
    let mut cluster = Cluster::start().await;
    let mut lrp = serving(1);
    lrp["instances"] = json!(0);
    desire(&mut cluster, &lrp).await;
    let third = cluster.node(3).http;
    let followed = [1, 2].map(|node| cluster.node(node).http.to_string());
    let options = ClientOptions { timeout: PATIENCE, ..ClientOptions::default() };
    let client = Client::with_options(followed.to_vec(), options).unwrap();
    let mut stream = client.lrp_events(Some("1-0")).await.unwrap();
    let changed = Arc::new(AtomicUsize::new(0));
    let changing = tokio::spawn(change(third, count, Arc::clone(&changed)));

    let mut seen = Vec::new();
    let mut kills = Vec::new();
    let last = format!("\"annotation\":\"{count}\"");
    loop {
        let notice = tokio::time::timeout(PATIENCE, stream.next()).await.expect("an event comes").unwrap();
        seen.push(notice.id);
        if notice.data.contains(&last) {
            break;
        }
        let due = [count / 3, count * 2 / 3].get(kills.len()).is_some_and(|due| seen.len() >= *due);
        if due {
            let address = stream.address().expect("it is connected").to_owned();
            let listened =
                followed.iter().position(|node| address.ends_with(node.as_str())).expect("it is one of them");
            let node = listened as u64 + 1;
            kills.push((node, seen.len(), changed.load(Ordering::SeqCst)));
            cluster.node(node).kill();
            cluster.node(node).start();
        }
    }
    changing.await.unwrap();
    assert_eq!(kills.len(), 2, "{kills:?}");
    let whole = events::ids(third, "/cluster/v1/events?kind=lrp", "1-0", seen.last().unwrap()).await;
    assert_eq!(seen.len(), whole.len(), "{kills:?}");
    assert!(seen == whole, "the same events in the same order");
    println!(
        "{} events through two killed nodes (node, seen, changed): {kills:?}; none missed or twice",
        seen.len()
    );
    cluster.all_ready().await;
    cluster.end().await;
}
