//! What the client does when a node refuses, hangs up, answers 503 or says nothing.
//!
//! Each node is a socket with a script: one entry per connection, answered with `Connection: close`.

#![expect(
    clippy::unwrap_used,
    reason = "clippy takes the helpers of an integration test for production code"
)]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use capstan_client::{
    CallError, Client, ClientOptions, Precondition, ReadOptions, cluster::SpecsPush,
    spin_cycle::CreateRequest,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What a scripted node does with one connection after it has read the call.
#[derive(Clone, Copy)]
enum Step {
    /// Answers with this status, extra header lines and body.
    Answer(&'static str, &'static str, &'static str),
    /// Closes the connection without a word.
    HangUp,
    /// Keeps the connection open and never answers.
    Silence,
}

/// A node that follows a script and remembers the calls it was sent, as text.
struct Node {
    address: String,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Node {
    async fn start(script: &[Step]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let (script, seen) = (script.to_vec(), Arc::clone(&calls));
        tokio::spawn(async move {
            let mut kept_open = Vec::new();
            for step in script {
                let (mut stream, _) = listener.accept().await.unwrap();
                let call = read_call(&mut stream).await;
                seen.lock().unwrap().push(call);
                match step {
                    Step::Answer(status, headers, body) => answer(&mut stream, status, headers, body).await,
                    Step::HangUp => drop(stream),
                    Step::Silence => kept_open.push(stream),
                }
            }
            // Past its script the node is gone: the listener closes with this task, unless silence must go on.
            drop(listener);
            if !kept_open.is_empty() {
                std::future::pending::<()>().await;
            }
        });
        Self { address, calls }
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

async fn read_call(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).await.unwrap();
        assert!(count > 0, "the client hung up in the middle of its call");
        read.extend_from_slice(&piece[..count]);
    }
}

async fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let text =
        format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(text.as_bytes()).await.unwrap();
    stream.shutdown().await.ok();
}

/// A port on which nothing listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    address.to_string()
}

fn client(addresses: &[&str]) -> Client {
    with_options(addresses, ClientOptions::default())
}

fn with_options(addresses: &[&str], options: ClientOptions) -> Client {
    Client::with_options(addresses.iter().map(|a| (*a).to_owned()).collect(), options).unwrap()
}

fn impatient() -> ClientOptions {
    ClientOptions {
        timeout: Duration::from_millis(1_500),
        attempt_timeout: Duration::from_millis(400),
        connect_patience: Duration::from_millis(100),
        ..ClientOptions::default()
    }
}

const VALUE: Step = Step::Answer("200 OK", "ETag: \"7\"\r\nX-Capstan-Index: 9\r\n", "blue");
const WRITTEN: Step = Step::Answer("201 Created", "X-Capstan-Index: 12\r\n", r#"{"name":"a","revision":5}"#);
const NO_LEADER: Step = Step::Answer(
    "503 Service Unavailable",
    "Retry-After: 1\r\n",
    r#"{"code":"no_leader","message":"no leader"}"#,
);
const GONE: Step = Step::Answer("404 Not Found", "", r#"{"code":"not_found","message":"no variable \"a\""}"#);
const OUTCOME_UNKNOWN: Step = Step::Answer(
    "504 Gateway Timeout",
    "Location: /api/v1/requests/dc05ckj8di16o61bq710\r\n",
    r#"{"message":"outcome unknown"}"#,
);
const STARTED: Step = Step::Answer(
    "201 Created",
    "",
    concat!(
        r#"{"id":"dc05ckj8di16o61bq710","type":"one","state":1,"user":"","createdAt":"2026-11-20T14:16:50Z","#,
        r#""startedAt":null,"finishedAt":null,"totalJobs":5,"finishedJobs":0}"#
    ),
);

fn one() -> CreateRequest {
    CreateRequest { kind: "one".to_owned(), args: None }
}

#[tokio::test]
async fn a_dead_node_is_passed_over_and_the_one_that_answered_comes_first_afterwards() {
    let dead = nobody().await;
    let alive = Node::start(&[VALUE, VALUE]).await;
    let client = client(&[&dead, &alive.address]);
    for _ in 0..2 {
        let read = client.get_variable("a", ReadOptions::default()).await.unwrap();
        assert_eq!((&read.value[..], read.revision, read.index), (&b"blue"[..], 7, Some(9)));
    }
    assert!(alive.calls()[0].starts_with("GET /cluster/v1/variables/a HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_write_moves_on_from_a_node_without_leader() {
    let waiting = Node::start(&[NO_LEADER]).await;
    let leading = Node::start(&[WRITTEN]).await;
    let client = client(&[&waiting.address, &leading.address]);
    let written = client.put_variable("a", "red", Precondition::Revision(4)).await.unwrap();
    assert_eq!((written.revision, written.created, written.index), (5, true, Some(12)));
    let call = &leading.calls()[0];
    assert!(call.contains("if-match: \"4\"\r\n") && call.ends_with("\r\n\r\nred"), "{call}");
}

#[tokio::test]
async fn a_single_node_without_leader_is_asked_again() {
    let node = Node::start(&[NO_LEADER, NO_LEADER, VALUE]).await;
    client(&[&node.address]).get_variable("a", ReadOptions::default()).await.unwrap();
    assert_eq!(node.calls().len(), 3);
}

#[tokio::test]
async fn a_plain_write_is_sent_again_when_its_answer_was_lost() {
    let node = Node::start(&[Step::HangUp, WRITTEN]).await;
    client(&[&node.address]).put_variable("a", "red", Precondition::None).await.unwrap();
    assert_eq!(node.calls().len(), 2);
}

#[tokio::test]
async fn a_conditional_write_whose_answer_was_lost_has_an_unknown_outcome() {
    let first = Node::start(&[Step::HangUp]).await;
    let second = Node::start(&[WRITTEN]).await;
    let client = client(&[&first.address, &second.address]);
    let error = client.put_variable("a", "red", Precondition::Absent).await.unwrap_err();
    assert!(error.may_have_happened(), "{error}");
    assert_eq!(second.calls(), Vec::<String>::new(), "a second attempt would find the first one's work");
}

#[tokio::test]
async fn a_repeated_delete_that_finds_nothing_has_succeeded() {
    let node = Node::start(&[Step::HangUp, GONE]).await;
    client(&[&node.address]).delete_variable("a", Precondition::None).await.unwrap();
    let node = Node::start(&[GONE]).await;
    let error = client(&[&node.address]).delete_variable("a", Precondition::None).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    assert_eq!(error.to_string(), format!("no variable \"a\" (HTTP 404 from http://{})", node.address));
}

#[tokio::test]
async fn a_start_is_repeated_under_the_same_key() {
    let first = Node::start(&[Step::HangUp]).await;
    let second = Node::start(&[STARTED]).await;
    let client = client(&[&first.address, &second.address]);
    assert_eq!(client.create_request(&one()).await.unwrap().id, "dc05ckj8di16o61bq710");
    assert_eq!(key(&first.calls()[0]), key(&second.calls()[0]));
    assert_eq!(key(&first.calls()[0]).len(), 32);
}

#[tokio::test]
async fn a_push_of_specs_is_repeated_under_the_same_key() {
    let first = Node::start(&[OUTCOME_UNKNOWN]).await;
    let second = Node::start(&[Step::Answer("200 OK", "", r#"{"version":"abcd","changed":true}"#)]).await;
    let client = client(&[&first.address, &second.address]);
    let push = SpecsPush { files: Vec::new() };
    assert!(client.push_specs(&push, Some("1234")).await.unwrap().changed);
    let (sent, again) = (&first.calls()[0], &second.calls()[0]);
    assert!(sent.contains("if-match: \"1234\"") && sent.contains("idempotency-key: "), "{sent}");
    assert_eq!(sent.replace(&first.address, ""), again.replace(&second.address, ""));
}

#[tokio::test]
async fn a_pause_and_a_resume_are_repeated_under_the_same_key() {
    let first = Node::start(&[Step::HangUp]).await;
    let second = Node::start(&[GONE, GONE]).await;
    let client = client(&[&first.address, &second.address]);
    assert!(client.pause_request("a").await.unwrap_err().is_not_found());
    assert!(client.resume_request("a").await.unwrap_err().is_not_found());
    let (paused, resumed) = (key(&second.calls()[0]), key(&second.calls()[1]));
    assert_eq!(key(&first.calls()[0]), paused);
    assert_ne!(paused, resumed);
}

/// The key a call carries.
fn key(call: &str) -> String {
    call.lines().find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_owned)).unwrap()
}

#[tokio::test]
async fn a_start_without_key_is_never_repeated_once_sent() {
    let first = Node::start(&[OUTCOME_UNKNOWN]).await;
    let second = Node::start(&[STARTED]).await;
    let options = ClientOptions { idempotency_keys: false, ..ClientOptions::default() };
    let error =
        with_options(&[&first.address, &second.address], options).create_request(&one()).await.unwrap_err();
    let CallError::UnknownOutcome { location, .. } = &error else { panic!("{error}") };
    assert_eq!(location.as_deref(), Some("/api/v1/requests/dc05ckj8di16o61bq710"));
    assert!(!first.calls()[0].contains("idempotency-key"));
    assert_eq!(second.calls(), Vec::<String>::new());
}

#[tokio::test]
async fn no_node_at_all_is_told_with_every_address() {
    let (first, second) = (nobody().await, nobody().await);
    let client = with_options(&[&first, &second], impatient());
    let error = client.put_variable("a", "red", Precondition::None).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&first) && error.to_string().contains(&second), "{error}");
    assert_eq!(error.next_step(), "check that the nodes run, and the addresses");
}

#[tokio::test]
async fn a_silent_node_costs_one_attempt_of_a_read() {
    let silent = Node::start(&[Step::Silence]).await;
    let alive = Node::start(&[VALUE]).await;
    let client = with_options(&[&silent.address, &alive.address], impatient());
    client.get_variable("a", ReadOptions::default()).await.unwrap();
    assert_eq!(silent.calls().len(), 1);
}

#[tokio::test]
async fn silence_means_timeout_for_a_read_and_an_unknown_outcome_for_a_write() {
    let silent = Node::start(&[Step::Silence; 16]).await;
    let client = with_options(&[&silent.address], impatient());
    let error = client.get_variable("a", ReadOptions::default()).await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error}");
    let error = client.put_variable("a", "red", Precondition::None).await.unwrap_err();
    assert!(error.may_have_happened(), "{error}");
}

#[tokio::test]
async fn a_503_that_does_not_go_away_is_reported_as_the_refusal_it_is() {
    let node = Node::start(&[NO_LEADER; 64]).await;
    let error = with_options(&[&node.address], impatient())
        .put_variable("a", "red", Precondition::None)
        .await
        .unwrap_err();
    let CallError::Refused { status: 503, code: Some(code), .. } = &error else { panic!("{error}") };
    assert_eq!(code, "no_leader");
    assert!(node.calls().len() > 1, "it is worth waiting for an election");
}

#[tokio::test]
async fn a_node_that_is_not_ready_is_an_answer_and_no_failure() {
    let node = Node::start(&[NO_LEADER]).await;
    let ready = client(&[&node.address]).ready().await.unwrap();
    assert_eq!((ready.ready, ready.detail.as_str()), (false, "no leader"));
}

#[tokio::test]
async fn something_else_that_listens_there_is_named() {
    let node = Node::start(&[Step::Answer("200 OK", "", "<html>")]).await;
    let error = client(&[&node.address]).cluster_status().await.unwrap_err();
    assert!(matches!(error, CallError::Unreadable { status: 200, .. }), "{error}");
}
