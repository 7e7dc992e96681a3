//! One HTTP/1.1 connection that is kept open: the leanest client there is, since it runs on the processors it measures.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long a call may take: longer than the four seconds after which a node gives up itself.
const PATIENCE: Duration = Duration::from_secs(6);

/// A connection to one server, opened by the first call and again after a failed one.
pub(crate) struct HttpClient {
    address: SocketAddr,
    host: HeaderValue,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl HttpClient {
    /// Connects to nobody yet.
    pub(crate) fn new(address: SocketAddr) -> Self {
        let host = HeaderValue::try_from(address.to_string()).expect("an address is a legal header");
        Self { address, host, connection: None }
    }

    /// Calls and returns status and body. After an error the connection is closed.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let answer = match tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await {
            Ok(answer) => answer,
            Err(_late) => Err(anyhow::anyhow!("no answer within {PATIENCE:?}")),
        };
        if answer.is_err() {
            self.connection = None;
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
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Bytes)> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            closed @ None => closed.insert(connect(self.address).await?),
        };
        connection.ready().await?;
        let request = Request::builder().method(method).uri(path).header(header::HOST, &self.host);
        let answer = connection.send_request(request.body(Full::new(body))?).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    // It ends when the sender is dropped; what goes wrong on it shows in the calls.
    tokio::spawn(connection);
    Ok(sender)
}
