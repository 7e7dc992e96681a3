//! Streams of events: resumption, bounds, and how they end.

use std::time::Duration;

use bytes::Bytes;
use capstan_model::command::Command;
use capstan_raft_store::handle::ProposeOptions;
use http::{Request, StatusCode};

use crate::{
    node::TestNode,
    streams::{Blocks, Event, Next},
};

const EVENTS: &str = "/cluster/v1/events";
const VARIABLES: &str = "/cluster/v1/events?kind=variable";

async fn put(node: &TestNode, name: &str) {
    let put = Request::put(format!("/cluster/v1/variables/{name}")).body(Bytes::from_static(b"1")).unwrap();
    assert!(node.api.call(put).await.status().is_success());
}

async fn propose(node: &TestNode, command: Command) {
    node.cluster.propose(command, ProposeOptions::progress()).await.unwrap().reply.unwrap();
}

async fn desire(node: &TestNode, guid: &str, instances: u32) {
    let body = format!(
        r#"{{"process_guid":"{guid}","domain":"d","rootfs":"preloaded:x","instances":{instances},"action":{{"run":{{"path":"p","user":"u"}}}}}}"#
    );
    let post = Request::post("/v1/desired_lrps").body(body.into()).unwrap();
    assert_eq!(node.api.call(post).await.status(), StatusCode::CREATED);
}

/// The error of a stream that was not opened.
async fn refused(node: &TestNode, last_event_id: &str) -> (StatusCode, String) {
    let request = Request::get(EVENTS).header("Last-Event-ID", last_event_id).body(Bytes::new()).unwrap();
    let answer = node.api.call(request).await;
    (answer.status(), String::from_utf8(answer.body().to_vec()).unwrap())
}

#[tokio::test]
async fn a_reader_that_comes_again_misses_nothing_and_sees_nothing_twice() {
    const COUNT: u64 = 150;
    let node = TestNode::start().await;
    let first = node.follow(VARIABLES, None).await;
    let writing = tokio::spawn({
        let api = node.api.clone();
        async move {
            // Several at once, so that some share an entry.
            let put = |n: u64| {
                let put = Request::put(format!("/cluster/v1/variables/v{n}")).body(Bytes::new()).unwrap();
                api.call(put)
            };
            for from in (0..COUNT).step_by(10) {
                let answers = futures::future::join_all((from..from + 10).map(put)).await;
                assert!(answers.iter().all(|answer| answer.status().is_success()));
            }
        }
    });
    let mut reader = first;
    let mut seen: Vec<Event> = Vec::new();
    let mut taken = 0;
    while seen.len() < COUNT as usize {
        seen.push(reader.event().await);
        taken += 1;
        // Each time it holds out a little longer.
        if taken > seen.len() / 7 {
            reader = node.follow(VARIABLES, seen.last().map(|event| &*event.id)).await;
            taken = 0;
        }
    }
    writing.await.unwrap();
    for (revision, event) in (1..).zip(&seen) {
        assert!(event.data.contains(&format!(r#""revision":{revision}}}"#)), "{event:?}");
    }
    // Whoever reads in one go sees the same.
    let mut again = node.follow(VARIABLES, Some("0-0")).await;
    for event in &seen {
        assert_eq!(again.event().await, *event);
    }
}

#[tokio::test]
async fn the_events_of_one_entry_may_be_parted() {
    let node = TestNode::start().await;
    let mut reader = node.follow("/v1/events", None).await;
    desire(&node, "p", 5).await;
    let mut all = Vec::new();
    for _ in 0..6 {
        all.push(reader.event().await);
    }
    let (index, _) = all[0].id.split_once('-').unwrap();
    for (ordinal, event) in all.iter().enumerate() {
        assert_eq!(event.id, format!("{index}-{ordinal}"));
        let mut behind = node.follow("/v1/events", Some(&event.id)).await;
        if let Some(next) = all.get(ordinal + 1) {
            assert_eq!(behind.event().await, *next);
        } else {
            desire(&node, "q", 0).await;
            assert_eq!(behind.event().await.name, "desired_lrp_created");
        }
    }
}

#[tokio::test]
async fn one_who_comes_anew_sees_only_what_comes_then() {
    let node = TestNode::start().await;
    let mut first = node.follow(EVENTS, None).await;
    put(&node, "before").await;
    let mut second = node.follow(EVENTS, None).await;
    put(&node, "after").await;
    let before = first.event().await;
    assert!(before.data.contains(r#""name":"before""#), "{before:?}");
    let after = second.event().await;
    assert!(after.data.contains(r#""name":"after""#), "{after:?}");
    assert_eq!(first.event().await, after, "everybody gets the same");
}

#[tokio::test]
async fn an_id_that_is_none_or_of_another_log_is_refused() {
    let node = TestNode::start().await;
    for id in ["7", "x-0", "1-0-0", "-1-0", "1-4294967296"] {
        let (status, body) = refused(&node, id).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{id}");
        assert!(body.contains("header Last-Event-ID: it must be the id of an event"), "{body}");
    }
    let beyond = node.cluster.view().index() + 1_000;
    let (status, body) = refused(&node, &format!("{beyond}-0")).await;
    assert_eq!(status, StatusCode::GONE);
    assert!(body.contains(r#""code":"not_of_this_log""#), "{body}");
}

#[tokio::test]
async fn what_is_kept_no_more_is_told_and_not_passed_over() {
    let node = TestNode::start().await;
    let mut late = node.follow(EVENTS, None).await;
    put(&node, "a").await;
    let seen = late.event().await;
    put(&node, "b").await;
    put(&node, "c").await;
    let next = node.cluster.view().state().history.next();
    propose(&node, Command::TrimEvents { below: next }).await;
    assert_eq!(late.any().await, Next::Broken);
    let (status, body) = refused(&node, &seen.id).await;
    assert_eq!(status, StatusCode::GONE);
    assert!(body.contains(r#""code":"events_gone""#) && body.contains(&seen.id), "{body}");
    let mut anew = node.follow(EVENTS, None).await;
    put(&node, "d").await;
    assert!(anew.event().await.data.contains(r#""name":"d""#));
}

#[tokio::test]
async fn a_node_that_is_drained_breaks_its_streams_off() {
    let node = TestNode::start().await;
    let drain = |what: &str| {
        let request = Request::post(format!("/cluster/v1/nodes/1/{what}")).body(Bytes::new()).unwrap();
        node.api.call(request)
    };
    let mut reader = node.follow("/v1/events", None).await;
    assert_eq!(drain("drain").await.status(), StatusCode::ACCEPTED);
    assert_eq!(reader.any().await, Next::Broken);
    let turned_away = node.open("/v1/events", None).await;
    assert_eq!(turned_away.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(turned_away.headers()["retry-after"], "1");
    desire(&node, "p", 1).await;
    let logs = "/v1/actual_lrps/p/index/0/logs";
    assert_eq!(node.open(logs, None).await.status(), StatusCode::OK, "what has an end is answered");
    assert_eq!(node.open(&format!("{logs}?follow"), None).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(drain("undrain").await.status(), StatusCode::ACCEPTED);
    let mut reader = node.follow("/v1/events", None).await;
    node.api.end_streams();
    assert_eq!(reader.any().await, Next::Broken);
    assert_eq!(node.open("/v1/events", None).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_stream_without_events_shows_that_it_lives() {
    let node = TestNode::with_heartbeats(Duration::from_millis(20)).await;
    let mut reader: Blocks = node.follow("/v1/events", None).await;
    for _ in 0..3 {
        assert_eq!(reader.any().await, Next::Block(": ping".to_owned()));
        // What is of no interest here is no sign of life.
        put(&node, "a").await;
    }
}
