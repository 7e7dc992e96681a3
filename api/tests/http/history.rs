//! Long lists: by pages, piece by piece, and as exports.

use bytes::Bytes;
use capstan_client::{NEXT_HEADER, cluster::ExportedRequest};
use capstan_model::{command::Command, settings::Setting, workflow::request::RequestState};
use capstan_raft_store::handle::ProposeOptions;
use futures::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use serde_json::Value;

use crate::node::TestNode;

/// More than two pieces of a list have.
const REQUESTS: usize = 2_300;
/// How many are created at a time.
const IN_FLIGHT: usize = 64;

/// Creates requests, which end at once.
async fn create(node: &TestNode, count: usize) {
    let created = stream::iter(0..count).map(|_| async {
        let create = Request::post("/api/v1/requests").header("Content-Type", "application/json");
        let answer = node.api.call(create.body(r#"{"type":"one"}"#.into()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::CREATED);
    });
    created.buffer_unordered(IN_FLIGHT).collect::<()>().await;
}

async fn get(node: &TestNode, path: &str) -> Response<Bytes> {
    let answer = node.api.call(Request::get(path).body(Bytes::new()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::OK, "{path}");
    answer
}

async fn listed(node: &TestNode, query: &str) -> Vec<Value> {
    let answer = get(node, &format!("/api/v1/requests?{query}")).await;
    assert!(answer.body().ends_with(b"]\n"));
    serde_json::from_slice(answer.body()).unwrap()
}

fn ids(requests: &[Value]) -> Vec<&str> {
    requests.iter().map(|request| request["id"].as_str().unwrap()).collect()
}

async fn exported(node: &TestNode, query: &str) -> Vec<ExportedRequest> {
    let answer = get(node, &format!("/cluster/v1/requests/export?{query}")).await;
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    answer
        .body()
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

#[tokio::test]
async fn a_long_list_is_the_same_whole_in_pieces_by_pages_and_as_an_export() {
    let node = TestNode::start().await;
    create(&node, REQUESTS).await;
    let all = listed(&node, "").await;
    assert_eq!(all.len(), REQUESTS);
    assert_eq!(listed(&node, "pretty").await, all);
    assert_eq!(listed(&node, "limit=2150&offset=100").await, all[100..2_250]);
    assert_eq!(listed(&node, "state=FAIL").await, Vec::<Value>::new());

    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = get(&node, &format!("/api/v1/requests?limit=575{after}")).await;
        paged.extend(serde_json::from_slice::<Vec<Value>>(page.body()).unwrap());
        let Some(next) = page.headers().get(NEXT_HEADER) else { break };
        after = format!("&after={}", next.to_str().unwrap());
    }
    assert_eq!(paged, all, "four full pages, and an empty one");

    let lines = exported(&node, "").await;
    let in_lines: Vec<&str> = lines.iter().map(|line| line.request.id.as_str()).collect();
    assert_eq!(in_lines, ids(&all));
    assert!(lines.iter().all(|line| line.request.job_chain.is_some() && line.log.is_none()));

    let rest = exported(&node, &format!("after={}&limit=3&logs=true", lines[99].cursor)).await;
    assert_eq!(rest.iter().map(|line| line.request.id.as_str()).collect::<Vec<_>>(), ids(&all)[100..103]);
    let logged = rest[0].log.as_ref().unwrap();
    assert_eq!(logged.len(), 5);
    assert!(logged.iter().all(|entry| entry.request_id == rest[0].request.id));
}

#[tokio::test]
async fn an_export_breaks_off_with_its_node() {
    let node = TestNode::start().await;
    create(&node, 1_100).await;
    let mut body = node.open("/cluster/v1/requests/export?logs=true", None).await.into_body();
    let first = body.next().await.unwrap().unwrap();
    assert!(first.ends_with(b"\n"));
    node.api.end_streams();
    assert!(body.next().await.unwrap().is_err(), "its reader must not take this for the end");
}

#[tokio::test]
async fn what_is_trimmed_is_neither_listed_nor_found_and_an_export_that_has_begun_goes_on() {
    let node = TestNode::start().await;
    create(&node, 1_100).await;
    let all = listed(&node, "").await;
    let mut body = node.open("/cluster/v1/requests/export", None).await.into_body();
    let mut read = body.next().await.unwrap().unwrap().to_vec();

    let fewer = Command::SetSetting(Setting::ArchiveRequestsMax(1_000));
    node.cluster.propose(fewer, ProposeOptions::client()).await.unwrap().reply.unwrap();
    let view = node.cluster.view();
    let trim = capstan_model::archive::trim_requests(view.state(), &view, view.state().log_time()).unwrap();
    let trim = Command::TrimRequests(Box::new(trim.unwrap()));
    node.cluster.propose(trim, ProposeOptions::progress()).await.unwrap().reply.unwrap();
    let view = node.cluster.view();
    assert_eq!(view.state().archive.count(), 1_000);

    let left = listed(&node, "").await;
    let stays = |id: &&str| ids(&left).contains(id);
    assert_eq!(ids(&all).into_iter().filter(stays).collect::<Vec<_>>(), ids(&left));
    let (first_gone, gone) = ids(&all).into_iter().enumerate().find(|(_, id)| !stays(id)).unwrap();
    let call = Request::get(format!("/api/v1/requests/{gone}")).body(Bytes::new()).unwrap();
    assert_eq!(node.api.call(call).await.status(), StatusCode::NOT_FOUND);
    while let Some(piece) = body.next().await {
        read.extend_from_slice(&piece.unwrap());
    }
    let lines = read.split_inclusive(|byte| *byte == b'\n');
    let lines: Vec<ExportedRequest> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    let sent: Vec<&str> = lines.iter().map(|line| line.request.id.as_str()).collect();
    assert_eq!(sent[..first_gone], ids(&all)[..first_gone], "nothing before the trimmed ones is missing");
    let of_kept: Vec<&str> = sent.into_iter().filter(stays).collect();
    assert_eq!(of_kept, ids(&left), "and nothing that stays");
    let is_over = RequestState::Complete.number();
    assert!(lines.iter().all(|line| u8::from(line.request.state) == is_over));
}
