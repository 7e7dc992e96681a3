//! Writes of one thing at once.

use bytes::Bytes;
use futures::future;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::node::TestNode;

const AT_ONCE: u64 = 20;

#[tokio::test]
async fn updates_at_once_all_count_and_one_of_them_is_last() {
    let node = TestNode::start().await;
    let desired = json!({
        "process_guid": "p", "domain": "d", "rootfs": "preloaded:x",
        "action": {"run": {"path": "p", "user": "u"}},
    });
    let post = Request::post("/v1/desired_lrps").body(Bytes::from(desired.to_string())).unwrap();
    assert_eq!(node.api.call(post).await.status(), StatusCode::CREATED);

    let updates = (0..AT_ONCE).map(|number| {
        let annotation = json!({ "annotation": format!("note {number}") }).to_string();
        let put = Request::put("/v1/desired_lrps/p").body(Bytes::from(annotation)).unwrap();
        let api = node.api.clone();
        async move { api.call(put).await.status() }
    });
    assert_eq!(future::join_all(updates).await, [StatusCode::NO_CONTENT; AT_ONCE as usize]);

    let get = Request::get("/v1/desired_lrps/p").body(Bytes::new()).unwrap();
    let shown: Value = serde_json::from_slice(node.api.call(get).await.body()).unwrap();
    assert_eq!(shown["modification_tag"]["index"], AT_ONCE);
    let last = shown["annotation"].as_str().unwrap().strip_prefix("note ").unwrap();
    assert!(last.parse::<u64>().unwrap() < AT_ONCE, "{last}");
}
