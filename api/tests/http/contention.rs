//! Writes of one thing at once.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use capstan_api::ports::JobTypes;
use capstan_model::{
    command::Command,
    spec_store::{PushSpecs, SpecFile, SpecsId},
    workflow::graph::{CreateCall, CreateOutput, Created},
};
use capstan_raft_store::handle::{ClusterHandle, ProposeOptions};
use futures::{
    FutureExt,
    future::{self, BoxFuture},
};
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::node::{TestNode, surface_with};

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

/// Job types while whose `create` runs somebody pushes new specs, as often as it is told.
struct Pushing {
    cluster: ClusterHandle,
    left: AtomicU64,
    pushed: AtomicU64,
}

impl Pushing {
    /// Pushes specs of one request, with a comment that makes their content another.
    async fn push(cluster: ClusterHandle, number: u64) -> SpecsId {
        let text = format!(
            "# {number}\nsequences: {{R: {{request: true, nodes: {{n: {{category: job, type: sleep}}}}}}}}"
        );
        let id = SpecsId::of([("a.yaml", &*text)]);
        let files = vec![SpecFile { path: "a.yaml".into(), text: text.into() }];
        let expected = cluster.view().state().specs.current_id();
        let push = Arc::new(PushSpecs { files, expected, by: "".into() });
        cluster.propose(Command::PushSpecs(push), ProposeOptions::client()).await.unwrap().reply.unwrap();
        id
    }
}

impl JobTypes for Pushing {
    fn create(&self, calls: Vec<CreateCall>) -> BoxFuture<'static, Vec<Created>> {
        let created =
            calls.into_iter().map(|call| Created { job: call.job, result: Ok(CreateOutput::default()) });
        let created = created.collect();
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_err() {
            return future::ready(created).boxed();
        }
        let number = self.pushed.fetch_add(1, Ordering::SeqCst) + 1;
        let cluster = self.cluster.clone();
        async move {
            Self::push(cluster, number).await;
            created
        }
        .boxed()
    }
}

#[tokio::test]
async fn a_request_is_built_again_when_its_specs_are_not_current_any_more() {
    for (pushes, status) in [(1, StatusCode::CREATED), (3, StatusCode::CREATED), (4, StatusCode::CONFLICT)] {
        let node = TestNode::start().await;
        let first = Pushing::push(node.cluster.clone(), 0).await;
        let types = Pushing { cluster: node.cluster.clone(), left: pushes.into(), pushed: 0.into() };
        let api = surface_with(&node.cluster, Arc::new(types));
        let post = Request::post("/api/v1/requests").header("content-type", "application/json");
        let post = post.header("idempotency-key", "k").body(Bytes::from_static(br#"{"type":"R"}"#)).unwrap();
        let answer = api.call(post).await;
        assert_eq!(answer.status(), status, "{pushes} pushes: {:?}", answer.body());
        let current = node.cluster.view().state().specs.current_id();
        assert_ne!(current, Some(first));
        if status == StatusCode::CREATED {
            let named = answer.headers()["x-capstan-specs"].to_str().unwrap();
            assert_eq!(Some(named.parse().unwrap()), current);
        }
    }
}
