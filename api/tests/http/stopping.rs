//! Calls that wait for something to happen.

use std::time::Duration;

use bytes::Bytes;
use capstan_model::{
    command::Command,
    ids::RequestId,
    time::Timestamp,
    workflow::{
        command::{FinishTry, TryEnd, TryReport},
        json::JsonMap,
        output::Output,
    },
};
use capstan_raft_store::handle::ProposeOptions;
use http::{Request, StatusCode};
use tokio::time::timeout;

use crate::node::TestNode;

/// Well below the three seconds after which a stop is answered anyway.
const SOON: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_stop_is_answered_as_soon_as_the_request_has_ended() {
    let node = TestNode::start().await;
    let id = start_sleeper(&node).await;
    let stop = Request::put(format!("/api/v1/requests/{id}/stop")).body(Bytes::new()).unwrap();
    let calling = tokio::spawn({
        let api = node.api.clone();
        async move { api.call(stop).await }
    });
    let mut applied = node.cluster.watch();
    while node.cluster.view().state().requests.get(&id).unwrap().progress.stopped_at.is_none() {
        applied.changed().await.unwrap();
    }
    assert!(!calling.is_finished(), "its job still runs");
    end_as_stopped(&node).await;
    let answer = timeout(SOON, calling).await.expect("the answer does not wait for its time").unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert!(answer.body().is_empty());
}

#[tokio::test]
async fn a_read_waits_for_the_index_it_asks_for() {
    let node = TestNode::start().await;
    let wanted = node.cluster.view().index() + 1;
    let read = Request::get("/cluster/v1/variables/a?consistency=stale").header("X-Capstan-Index", wanted);
    let reading = tokio::spawn({
        let (api, read) = (node.api.clone(), read.body(Bytes::new()).unwrap());
        async move { api.call(read).await }
    });
    tokio::task::yield_now().await;
    let put = Request::put("/cluster/v1/variables/a").body(Bytes::from_static(b"1")).unwrap();
    assert_eq!(node.api.call(put).await.status(), StatusCode::CREATED);
    let answer = timeout(SOON, reading).await.expect("the index was reached").unwrap();
    assert_eq!((answer.status(), &answer.body()[..]), (StatusCode::OK, &b"1"[..]));
}

async fn start_sleeper(node: &TestNode) -> RequestId {
    let body = r#"{"type":"sleeper","args":{"ms":"60000"}}"#;
    let create = Request::post("/api/v1/requests").header("Content-Type", "application/json");
    let answer = node.api.call(create.body(body.into()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::CREATED);
    let location = answer.headers()["location"].to_str().unwrap();
    location.rsplit('/').next().unwrap().parse().unwrap()
}

/// Reports, as the owner would, that the one running try was stopped.
async fn end_as_stopped(node: &TestNode) {
    let view = node.cluster.view();
    let running = view.state().running_under(node.cluster.incarnation()).next().unwrap();
    assert!(running.stop_requested);
    let report = TryReport {
        end: TryEnd::Stopped,
        exit: 0,
        error: "".into(),
        stdout: Output::default(),
        stderr: Output::default(),
        started_at: Timestamp::ZERO,
        finished_at: Timestamp::ZERO,
        job_data: JsonMap::default(),
    };
    let finish = Command::FinishTry(Box::new(FinishTry { id: running.id, report }));
    node.cluster.propose(finish, ProposeOptions::progress()).await.unwrap().reply.unwrap();
}
