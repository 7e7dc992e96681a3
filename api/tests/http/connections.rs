//! What is seen only on connections: bounds, reuse, and the end of a listener.

use std::{net::SocketAddr, time::Duration};

use capstan_api::server::{self, Options};
use capstan_model::lrp::actual::ActualKey;
use capstan_raft_store::peer::OutputStream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
    time::timeout,
};

use crate::node::TestNode;

/// Far longer than anything here takes unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A node that listens on a port of its own.
struct Listening {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
    node: TestNode,
}

impl Listening {
    async fn start(options: Options) -> Self {
        let node = TestNode::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(server::serve(listener, node.api.clone(), options, stopped));
        Self { node, address, stop, serving }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes on a connection of their own and reads until the other end closes it.
    async fn exchange(&self, sent: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(sent).await.unwrap();
        read_to_end(&mut stream).await
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut text)).await.expect("the connection is closed").unwrap();
    String::from_utf8(text).unwrap()
}

/// Reads until what was read ends as wanted.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        let byte =
            timeout(PATIENCE, stream.read_u8()).await.expect("an answer comes").expect("more is to come");
        text.push(byte);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn a_connection_serves_one_call_after_the_other() {
    let node = Listening::start(Options::default()).await;
    let mut stream = node.connect().await;
    stream
        .write_all(b"PUT /cluster/v1/variables/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none")
        .await
        .unwrap();
    let answer = read_until(&mut stream, "{\"name\":\"a\",\"revision\":1}\n").await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert!(answer.contains("\r\nX-Capstan-Index: "), "{answer}");
    stream.write_all(b"GET /cluster/v1/variables/a HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\none").await;
    assert!(answer.contains("Content-Length: 3\r\n"), "{answer}");
    stream
        .write_all(b"HEAD /cluster/v1/variables/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = read_to_end(&mut stream).await;
    assert!(answer.contains("Content-Length: 3\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn a_body_that_nobody_needs_costs_no_connection() {
    // The Go client of Diego sends `null` with every call.
    let node = Listening::start(Options::default()).await;
    let mut stream = node.connect().await;
    for (line, status) in [
        ("GET /v1/domains", "200 OK"),
        ("DELETE /v1/desired_lrps/none", "404 Not Found"),
        ("PUT /v1/domains/apps", "204 No Content"),
        ("GET /v1/domains", "200 OK"),
    ] {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"null").await.unwrap();
        let answer = read_until(&mut stream, "\r\n\r\n").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{line}: {answer}");
        match answer.lines().find_map(|line| line.strip_prefix("Content-Length: ")) {
            Some(bytes) => {
                stream.read_exact(&mut vec![0; bytes.parse().unwrap()]).await.unwrap();
            }
            None => assert!(!answer.contains("Content-Type: "), "{answer}"),
        }
    }
}

#[tokio::test]
async fn a_body_without_announced_length_is_bounded() {
    let node = Listening::start(Options::default()).await;
    let head = "PUT /cluster/v1/variables/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n";
    let small = node.exchange(format!("{head}3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n").as_bytes()).await;
    assert!(small.starts_with("HTTP/1.1 201 Created\r\n"), "{small}");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let large = node.exchange(format!("{head}{chunk}1\r\ny\r\n0\r\n\r\n").as_bytes()).await;
    assert!(large.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{large}");
    // Without an end the answer comes all the same.
    let endless = node.exchange(format!("{head}{}", chunk.repeat(18)).as_bytes()).await;
    assert!(endless.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{endless}");
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let node = Listening::start(Options::default()).await;
    let answer = node.exchange(b"hello\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    let answer = node
        .exchange(format!("GET /{} HTTP/1.1\r\nConnection: close\r\n\r\n", "x".repeat(9_000)).as_bytes())
        .await;
    assert!(answer.starts_with("HTTP/1.1 414 URI Too Long\r\n"), "{answer}");
    let answer = node.exchange(format!("GET / HTTP/1.1\r\n{}\r\n", "X: x\r\n".repeat(101)).as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_back() {
    let node = Listening::start(Options { connections_max: 1, ..Options::default() }).await;
    let mut first = node.connect().await;
    first.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut first, "}\n").await;
    let told = read_to_end(&mut node.connect().await).await;
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("Retry-After: 1\r\n"), "{told}");
    first.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut first).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_listener_that_stops_answers_what_is_in_flight() {
    let node = Listening::start(Options::default()).await;
    let (mut idle, mut sending) = (node.connect().await, node.connect().await);
    idle.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    read_until(&mut idle, "}\n").await;
    let head = "PUT /cluster/v1/variables/a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";
    sending.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(
        read_until(&mut sending, "\r\n\r\n").await,
        "HTTP/1.1 100 Continue\r\n\r\n",
        "the call is being served"
    );

    node.stop.send_replace(true);
    assert_eq!(read_to_end(&mut idle).await, "", "an idle connection is closed at once");
    sending.write_all(b"one").await.unwrap();
    let answer = read_to_end(&mut sending).await;
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    timeout(PATIENCE, node.serving).await.expect("the listener has ended").unwrap();
    assert!(TcpStream::connect(node.address).await.is_err(), "no connection is taken any more");
}

#[tokio::test]
async fn events_are_sent_as_they_happen_and_broken_off_with_the_listener() {
    let node = Listening::start(Options::default()).await;
    let mut following = node.connect().await;
    following
        .write_all(b"GET /cluster/v1/events?kind=variable HTTP/1.1\r\nHost: x\r\nLast-Event-ID: \r\n\r\n")
        .await
        .unwrap();
    let head = read_until(&mut following, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for line in [
        "Content-Type: text/event-stream; charset=utf-8",
        "Cache-Control: no-cache, no-store, must-revalidate",
        "Connection: keep-alive",
        "Transfer-Encoding: chunked",
    ] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line}: {head}");
    }
    for value in ["one", "two"] {
        let put = format!(
            "PUT /cluster/v1/variables/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\n{value}"
        );
        assert!(node.exchange(put.as_bytes()).await.starts_with("HTTP/1.1 20"));
        let event = read_until(&mut following, "}\n\n\r\n").await;
        assert!(event.contains("\r\nid: ") && event.contains("\nevent: variable_set\ndata: {"), "{event}");
    }
    node.stop.send_replace(true);
    assert_eq!(
        read_to_end(&mut following).await,
        "",
        "without the chunk that would say that this is the end"
    );
    timeout(PATIENCE, node.serving).await.expect("the listener has ended").unwrap();
}

#[tokio::test]
async fn a_connection_can_be_used_again_after_a_stream_that_has_ended() {
    let node = Listening::start(Options::default()).await;
    let mut stream = node.connect().await;
    let body = r#"{"process_guid":"p","domain":"d","rootfs":"preloaded:x","instances":1,"action":{"run":{"path":"p","user":"u"}}}"#;
    let desire =
        format!("POST /v1/desired_lrps HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(desire.as_bytes()).await.unwrap();
    assert!(read_until(&mut stream, "\r\n\r\n").await.starts_with("HTTP/1.1 201 "));
    let key = ActualKey::new(&"p".parse().unwrap(), 0);
    (0..3).for_each(|_| node.node.output.write(1, key.clone(), OutputStream::Stdout, "line"));
    for _ in 0..2 {
        stream.write_all(b"GET /v1/actual_lrps/p/index/0/logs HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let answer = read_until(&mut stream, "\r\n0\r\n\r\n").await;
        assert_eq!(answer.matches("\"text\":\"line\"").count(), 3, "{answer}");
    }
    stream.write_all(b"HEAD /v1/events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = read_until(&mut stream, "\r\n\r\n").await;
    assert!(answer.contains("\r\nContent-Type: text/event-stream; charset=utf-8\r\n"), "{answer}");
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(read_until(&mut stream, "}\n").await.starts_with("HTTP/1.1 200 OK\r\n"));
}
