//! Following what instances write.

use std::time::Duration;

use capstan_model::{
    command::Command,
    lrp::{actual::ActualKey, command::LrpCommand},
};
use capstan_raft_store::{handle::ProposeOptions, peer::OutputStream};
use futures::StreamExt;
use http::StatusCode;

use crate::node::TestNode;

const LOGS: &str = "/v1/actual_lrps/p/index/0/logs?follow";

fn key() -> ActualKey {
    ActualKey::new(&"p".parse().unwrap(), 0)
}

async fn desire(node: &TestNode) {
    let body = r#"{"process_guid":"p","domain":"d","rootfs":"preloaded:x","instances":1,"action":{"run":{"path":"p","user":"u"}}}"#;
    let post = http::Request::post("/v1/desired_lrps").body(body.into()).unwrap();
    assert_eq!(node.api.call(post).await.status(), StatusCode::CREATED);
}

#[tokio::test]
async fn a_follower_gets_new_lines_until_the_index_is_gone() {
    let node = TestNode::start().await;
    desire(&node).await;
    node.output.write(1, key(), OutputStream::Stdout, "one");
    let mut body = node.open(LOGS, None).await.into_body();
    let mut read = String::new();
    for (written, last) in [(&["two", "three"][..], "three"), (&["four"], "four")] {
        written.iter().for_each(|text| node.output.write(1, key(), OutputStream::Stdout, text));
        while !read.ends_with(&format!("\"{last}\"}}\n")) {
            read.push_str(std::str::from_utf8(&body.next().await.unwrap().unwrap()).unwrap());
        }
    }
    let lines: Vec<&str> = read.lines().filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], r#"{"at":"1970-01-01T00:00:01Z","stream":"stdout","source":"APP","text":"one"}"#);

    let remove = Command::Lrp(LrpCommand::Remove { guid: "p".parse().unwrap(), if_tag: None });
    node.cluster.propose(remove, ProposeOptions::progress()).await.unwrap().reply.unwrap();
    assert!(body.next().await.is_none(), "nothing can come any more, and that is no error");
}

#[tokio::test]
async fn a_follower_sees_that_it_is_not_forgotten_and_is_broken_off_with_its_node() {
    let node = TestNode::with_heartbeats(Duration::from_millis(20)).await;
    desire(&node).await;
    let mut body = node.open(LOGS, None).await.into_body();
    assert_eq!(body.next().await.unwrap().unwrap(), "\n");
    node.api.end_streams();
    assert!(body.next().await.unwrap().is_err());
}
