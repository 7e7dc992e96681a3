//! Streams of events and of output, from nodes that break off.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes the helpers of an integration test for production code"
)]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use capstan_client::{CallError, Client, ClientOptions, LogQuery, Stream, spin_cycle::UtcTime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// How a node ends an answer.
#[derive(Clone, Copy)]
enum End {
    /// As it should: the caller knows that nothing is missing.
    Clean,
    /// In the middle.
    Abrupt,
    /// Not at all.
    Never,
}

/// One answer of a node: its status line, what it writes in chunks, and how it ends.
type Answer = (&'static str, &'static [&'static str], End);

/// Starts a node that gives these answers, one a connection, and then is gone. Returns its address and the calls it got.
async fn node(answers: &[Answer]) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (answers, seen) = (answers.to_vec(), Arc::clone(&calls));
    tokio::spawn(async move {
        let mut open = Vec::new();
        for (status, chunks, end) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let call = head(&mut stream).await;
            seen.lock().unwrap().push(call);
            let head = format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            for chunk in chunks {
                let framed = format!("{:x}\r\n{chunk}\r\n", chunk.len());
                stream.write_all(framed.as_bytes()).await.unwrap();
            }
            match end {
                End::Clean => stream.write_all(b"0\r\n\r\n").await.unwrap(),
                End::Abrupt => drop(stream),
                End::Never => open.push(stream),
            }
        }
        drop(listener);
        std::future::pending::<()>().await;
    });
    (address, calls)
}

async fn head(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    while !read.ends_with(b"\r\n\r\n") {
        assert!(stream.read_buf(&mut read).await.unwrap() > 0, "the call ended in its middle");
    }
    String::from_utf8(read).unwrap().to_lowercase()
}

fn client(addresses: &[&str]) -> Client {
    let options = ClientOptions {
        timeout: Duration::from_secs(5),
        connect_patience: Duration::from_millis(100),
        ..ClientOptions::default()
    };
    Client::with_options(addresses.iter().map(|address| (*address).to_owned()).collect(), options).unwrap()
}

#[tokio::test]
async fn a_broken_stream_goes_on_at_another_node_behind_the_last_event() {
    let first: Answer =
        ("200 OK", &["id: 7-0\nevent: a\nda", "ta: {}\n\nid: 7-1\nevent: b\ndata: h"], End::Abrupt);
    let second: Answer = ("200 OK", &[": ping\n\n", "id: 7-1\nevent: b\ndata: {}\n\n"], End::Never);
    let (first, first_calls) = node(&[first]).await;
    let (second, second_calls) = node(&[second]).await;
    let client = client(&[&first, &second]).with_credentials("u", "p");
    let mut events = client.lrp_events(None).await.unwrap();
    assert_eq!(events.address(), Some(&*format!("http://{first}")));
    let (one, two) = (events.next().await.unwrap(), events.next().await.unwrap());
    assert_eq!((&*one.id, &*one.name, &*one.data), ("7-0", "a", "{}"));
    assert_eq!((&*two.id, &*two.name, &*two.data), ("7-1", "b", "{}"));
    assert_eq!(events.address(), Some(&*format!("http://{second}")));
    let first_call = first_calls.lock().unwrap()[0].clone();
    assert!(
        first_call.starts_with("get /v1/events http") && !first_call.contains("last-event-id"),
        "{first_call}"
    );
    assert!(first_call.contains("authorization: basic dtpw"), "{first_call}");
    let second_call = second_calls.lock().unwrap()[0].clone();
    assert!(second_call.contains("last-event-id: 7-0\r\n"), "{second_call}");
}

#[tokio::test]
async fn a_stream_that_ends_is_taken_up_again_also_at_the_same_node() {
    let once: Answer = ("200 OK", &["id: 1-0\nevent: a\ndata: 1\n\n"], End::Clean);
    let away: Answer = ("503 Service Unavailable", &["{\"message\":\"no leader\"}"], End::Clean);
    let again: Answer = ("200 OK", &["id: 2-0\nevent: a\ndata: 2\n\n"], End::Never);
    let (node, calls) = node(&[once, away, again]).await;
    let mut events = client(&[&node]).lrp_events(Some("0-3")).await.unwrap();
    assert_eq!(events.next().await.unwrap().data, "1");
    assert_eq!(events.next().await.unwrap().data, "2");
    let calls = calls.lock().unwrap().clone();
    let ids = ["last-event-id: 0-3\r\n", "last-event-id: 1-0\r\n", "last-event-id: 1-0\r\n"];
    for (call, id) in calls.iter().zip(ids) {
        assert!(call.contains(id), "{call}");
    }
}

#[tokio::test]
async fn events_that_are_not_kept_any_more_are_a_refusal() {
    let gone: Answer = ("410 Gone", &["{\"name\":\"InvalidRequest\",\"message\":\"not kept\"}"], End::Clean);
    let (node, _) = node(&[gone]).await;
    let error = client(&[&node]).lrp_events(Some("1-0")).await.unwrap_err();
    assert_eq!(error.status(), Some(410));
}

#[tokio::test]
async fn output_comes_line_by_line_until_it_ends() {
    let (node, calls) = node(&[("200 OK", &["one\ntw", "o\n\n", "\nthree"], End::Clean)]).await;
    let query = LogQuery {
        follow: true,
        since: UtcTime::parse("2026-11-20T14:16:00Z"),
        stream: Some(Stream::Err),
        tail: Some(3),
    };
    let mut lines = client(&[&node]).instance_logs("p", 2, query).await.unwrap();
    for expected in [Some("one"), Some("two"), Some("three"), None, None] {
        assert_eq!(lines.next().await.unwrap().as_deref(), expected);
    }
    let call = calls.lock().unwrap()[0].clone();
    let path = "get /v1/actual_lrps/p/index/2/logs?follow=true&since=2026-11-20t14%3a16%3a00z&stream=stderr&tail=3 http";
    assert!(call.starts_with(path), "{call}");
}

#[tokio::test]
async fn output_that_breaks_off_is_told_after_what_had_come() {
    let (node, _) = node(&[("200 OK", &["one\n"], End::Abrupt)]).await;
    let mut lines = client(&[&node]).instance_logs("p", 0, LogQuery::default()).await.unwrap();
    assert_eq!(lines.next().await.unwrap().as_deref(), Some("one"));
    assert!(matches!(lines.next().await, Err(CallError::Broken { .. })));
    assert_eq!(lines.next().await.unwrap(), None, "and is told once");
}

/// So many times a MiB without a line end.
fn endless(mebibytes: usize) -> &'static [&'static str] {
    let mebibyte: &'static str = Box::leak("x".repeat(1 << 20).into_boxed_str());
    Box::leak(vec![mebibyte; mebibytes].into_boxed_slice())
}

#[tokio::test]
async fn a_line_without_end_is_given_up() {
    let (node, _) = node(&[("200 OK", endless(2), End::Never)]).await;
    let mut lines = client(&[&node]).instance_logs("p", 0, LogQuery::default()).await.unwrap();
    assert!(matches!(lines.next().await, Err(CallError::Broken { .. })));
    assert_eq!(lines.next().await.unwrap(), None);
}

#[tokio::test]
async fn an_event_without_end_is_given_up_and_the_next_connection_goes_on() {
    let event: Answer = ("200 OK", &["id: 1-0\nevent: a\ndata: {}\n\n"], End::Never);
    let (node, calls) = node(&[("200 OK", endless(17), End::Never), event]).await;
    let mut events = client(&[&node]).lrp_events(Some("0-7")).await.unwrap();
    assert!(matches!(events.next().await, Err(CallError::Broken { .. })));
    assert_eq!(events.next().await.unwrap().id, "1-0");
    assert!(calls.lock().unwrap()[1].contains("last-event-id: 0-7"), "it begins where it was");
}
