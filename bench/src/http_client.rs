//! One HTTP/1.1 connection that is kept open, cut down to what the benchmarks need.
//!
//! The load runs on the processors that it measures, so each call is one write and, as a rule, one read, without the tasks,
//! channels and header maps of a general client: with hyper a call took a third more processor time. Only answers
//! with a `Content-Length` are understood, which are all that Capstan and etcd's gateway give to these calls.

use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use anyhow::{Context, bail, ensure};
use bytes::{Buf, Bytes, BytesMut};
use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long a call may take: longer than the four seconds after which a node gives up itself.
const PATIENCE: Duration = Duration::from_secs(6);
/// How many headers an answer may have.
const HEADERS_MAX: usize = 32;

/// A connection to one server, opened by the first call and again after a failed one.
pub(crate) struct HttpClient {
    address: SocketAddr,
    socket: Option<TcpStream>,
    /// A header line of every call, with its end.
    header: &'static str,
    sending: BytesMut,
    received: BytesMut,
}

impl HttpClient {
    /// Connects to nobody yet.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, socket: None, header: "", sending: BytesMut::new(), received: BytesMut::new() }
    }

    /// One that says of every body that it is JSON.
    pub(crate) fn json(address: SocketAddr) -> Self {
        Self { header: "Content-Type: application/json\r\n", ..Self::new(address) }
    }

    /// Calls and returns status and body. After an error the connection is closed.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let answer = match tokio::time::timeout(PATIENCE, self.exchange(method, path, &body)).await {
            Ok(answer) => answer,
            Err(_late) => Err(anyhow::anyhow!("no answer within {PATIENCE:?}")),
        };
        if answer.is_err() {
            self.socket = None;
            self.received.clear();
        }
        answer.with_context(|| format!("http://{}{path}", self.address))
    }

    /// As [`Self::call`], with any status but a success as an error.
    pub(crate) async fn succeed(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let (status, answer) = self.call(method, path, body).await?;
        ensure!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&answer));
        Ok(answer)
    }

    async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        body: &[u8],
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let socket = match &mut self.socket {
            Some(socket) => socket,
            closed @ None => {
                let socket = TcpStream::connect(self.address).await?;
                socket.set_nodelay(true)?;
                closed.insert(socket)
            }
        };
        let (address, header, bytes) = (self.address, self.header, body.len());
        self.sending.clear();
        write!(
            self.sending,
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{header}Content-Length: {bytes}\r\n\r\n"
        )?;
        self.sending.extend_from_slice(body);
        socket.write_all(&self.sending).await?;
        let head = loop {
            ensure!(socket.read_buf(&mut self.received).await? > 0, "the server closed the connection");
            if let Some(head) = Head::parse(&self.received)? {
                break head;
            }
        };
        while self.received.len() < head.bytes + head.body_bytes {
            ensure!(socket.read_buf(&mut self.received).await? > 0, "the server closed the connection");
        }
        self.received.advance(head.bytes);
        let body = self.received.split_to(head.body_bytes).freeze();
        ensure!(self.received.is_empty(), "the server sent more than one answer to a call");
        Ok((head.status, body))
    }
}

/// What of an answer's head matters here.
#[derive(Debug, PartialEq)]
struct Head {
    status: StatusCode,
    /// Its own length.
    bytes: usize,
    body_bytes: usize,
}

impl Head {
    /// `None` when more must be read first.
    fn parse(received: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut answer = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(bytes) = answer.parse(received)? else { return Ok(None) };
        let status = StatusCode::from_u16(answer.code.context("an answer has a status")?)?;
        let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let body_bytes = match length {
            Some(length) => std::str::from_utf8(length.value)?.parse()?,
            None if status == StatusCode::NO_CONTENT => 0,
            None => bail!("the answer ({status}) has no Content-Length"),
        };
        Ok(Some(Self { status, bytes, body_bytes }))
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_head_is_complete_or_not_yet() {
        let text = b"HTTP/1.1 201 Created\r\ncontent-length: 5\r\n\r\nhel";
        let head = Head { status: StatusCode::CREATED, bytes: text.len() - 3, body_bytes: 5 };
        assert_eq!(Head::parse(text).unwrap(), Some(head));
        assert_eq!(Head::parse(&text[..30]).unwrap(), None);
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
        assert!(Head::parse(b"no http").is_err());
    }

    #[tokio::test]
    async fn an_answer_in_pieces_is_put_together_and_the_connection_used_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = HttpClient::new(listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut calls = Vec::new();
            for _ in 0..2 {
                let mut call = BytesMut::new();
                while !call.ends_with(b"!") {
                    socket.read_buf(&mut call).await.unwrap();
                }
                calls.push(String::from_utf8(call.to_vec()).unwrap());
                for piece in ["HTTP/1.1 200 OK\r\nContent-", "Length: 5\r\n\r", "\nhel", "lo"] {
                    socket.write_all(piece.as_bytes()).await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
            calls
        });
        for _ in 0..2 {
            let answer = client.succeed(Method::PUT, "/a", Bytes::from_static(b"body!")).await.unwrap();
            assert_eq!(answer, "hello");
        }
        let calls = server.await.unwrap();
        assert!(calls[1].starts_with("PUT /a HTTP/1.1\r\nHost: 127.0.0.1:"), "{}", calls[1]);
        assert!(calls[1].ends_with("\r\nContent-Length: 5\r\n\r\nbody!"), "{}", calls[1]);
    }
}
