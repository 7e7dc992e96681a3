//! etcd's gRPC service `etcdserverpb.KV`, called over one HTTP/2 connection that many clients may share.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, Uri, header};
use tokio::net::TcpStream;

use super::messages;
use crate::workload;

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(6);
/// Bytes that may arrive before the server waits for us: the default of 64 KiB would slow many clients down.
const WINDOW_BYTES: u32 = 1 << 20;

/// A connection; clones share it.
#[derive(Clone)]
pub(super) struct Grpc {
    connection: SendRequest<Bytes>,
    put: Uri,
    range: Uri,
}

impl Grpc {
    pub(super) async fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .handshake(socket)
            .await?;
        // It ends when all senders are dropped; what goes wrong on it shows in the calls.
        tokio::spawn(connection);
        let uri = |method| format!("http://{address}/etcdserverpb.KV/{method}").parse();
        Ok(Self { connection: sender, put: uri("Put")?, range: uri("Range")? })
    }

    pub(super) async fn put(&self, key: &str, value: &[u8]) -> anyhow::Result<()> {
        self.call(&self.put, messages::put(key.as_bytes(), value)).await.map(drop)
    }

    /// Linearizable, as it is by default.
    pub(super) async fn get(&self, key: &str) -> anyhow::Result<()> {
        let bytes = self.call(&self.range, messages::range(key.as_bytes())).await?;
        ensure!(bytes > workload::VALUE_BYTES, "the key is missing: only {bytes} bytes came back");
        Ok(())
    }

    /// Makes one unary call and returns how many bytes came back.
    async fn call(&self, uri: &Uri, message: Bytes) -> anyhow::Result<usize> {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(uri, message)).await;
        answer.context("no answer in time").flatten().with_context(|| uri.to_string())
    }

    async fn exchange(&self, uri: &Uri, message: Bytes) -> anyhow::Result<usize> {
        let mut connection = self.connection.clone().ready().await?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(uri.clone())
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(())?;
        let (answer, mut sending) = connection.send_request(request, false)?;
        sending.send_data(message, true)?;
        let (head, mut body) = answer.await?.into_parts();
        let mut bytes = 0;
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            bytes += chunk.len();
        }
        // A call that failed at once has its status in the head.
        let trailers = body.trailers().await?.unwrap_or_default();
        let text = |headers: &HeaderMap, name| {
            headers.get(name).map(|v| String::from_utf8_lossy(v.as_bytes()).into_owned())
        };
        let find = |name| text(&trailers, name).or_else(|| text(&head.headers, name));
        let status = find("grpc-status");
        ensure!(status.as_deref() == Some("0"), "gRPC status {status:?}: {:?}", find("grpc-message"));
        Ok(bytes)
    }
}
