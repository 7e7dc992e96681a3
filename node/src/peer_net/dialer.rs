//! Connects one link and moves its bytes until the connection ends.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use capstan_raft_store::peer::PeerService;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    frame::{Frames, ReadError},
    hello::{self, HelloError},
    link::Link,
    message::{Message, PeerMessage},
    quiet::Quiet,
    socket,
};

/// How long connecting may take, name resolution included.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);

/// Why a dialler stopped.
#[derive(Debug, thiserror::Error)]
enum EndOfLink {
    #[error("cannot connect to {address}: {source}")]
    Connect { address: String, source: std::io::Error },
    #[error("cannot connect to {address} within {CONNECT_PATIENCE:?}")]
    ConnectTimeout { address: String },
    #[error(transparent)]
    Hello(#[from] HelloError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot write: {0}")]
    Write(std::io::Error),
    #[error("the peer sent what only a dialler sends")]
    OutOfTurn,
    #[error("this node is shutting down")]
    Closing,
}

/// Serves `link` over one connection, until that ends or `closing` is set.
pub(super) async fn run(
    link: Arc<Link>,
    quiet: Arc<Quiet>,
    service: Arc<dyn PeerService>,
    closing: CancellationToken,
) {
    let mut dialling = Dialling { link, reason: "the dialler was dropped".to_owned() };
    let link = &dialling.link;
    let Err(end) = tokio::select! {
        end = connect_and_move(link, &service) => end,
        () = closing.cancelled() => Err(EndOfLink::Closing),
    };
    let reason = end.to_string();
    if !matches!(end, EndOfLink::Closing)
        && let Some(swallowed) = quiet.news(&reason, Instant::now())
    {
        warn!(peer = %link.peer, channel = ?link.channel, address = link.address, swallowed, "peer link ended: {reason}");
    }
    dialling.reason = reason;
}

/// Fails the link's calls when the dialler ends, however it ends.
struct Dialling {
    link: Arc<Link>,
    reason: String,
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.link.ended(&self.reason);
    }
}

/// What never ends well.
type Never = std::convert::Infallible;

async fn connect_and_move(link: &Link, service: &Arc<dyn PeerService>) -> Result<Never, EndOfLink> {
    let mut socket = connect(&link.address).await?;
    let mut frames = Frames::default();
    hello::greet(&mut socket, &mut frames, service, link.peer, link.channel).await?;
    info!(peer = %link.peer, channel = ?link.channel, address = link.address, "connected to peer");
    metrics::counter!("capstan_peer_connects_total", "peer" => link.peer.to_string()).increment(1);
    let (read, write) = socket.split();
    tokio::select! {
        end = receive(link, frames, read) => end,
        end = send(link, write) => end,
    }
}

async fn connect(address: &str) -> Result<TcpStream, EndOfLink> {
    let failed = |source| EndOfLink::Connect { address: address.to_owned(), source };
    let socket = timeout(CONNECT_PATIENCE, TcpStream::connect(address))
        .await
        .map_err(|_late| EndOfLink::ConnectTimeout { address: address.to_owned() })?
        .map_err(failed)?;
    socket::prepare(&socket).map_err(failed)?;
    Ok(socket)
}

/// Writes what is queued; whatever comes together during one write goes out with the next.
async fn send(link: &Link, mut socket: impl AsyncWrite + Unpin) -> Result<Never, EndOfLink> {
    let mut out = BytesMut::new();
    loop {
        link.take(&mut out);
        if out.is_empty() {
            link.queued().await;
        } else {
            socket.write_all(&out).await.map_err(EndOfLink::Write)?;
            out.clear();
        }
    }
}

/// Hands the replies to their callers.
async fn receive(
    link: &Link,
    mut frames: Frames,
    mut socket: impl AsyncRead + Unpin,
) -> Result<Never, EndOfLink> {
    loop {
        let PeerMessage::V1(message) = frames.receive(&mut socket).await?;
        match message {
            Message::Reply { id, reply } => link.answer(id, reply),
            Message::Refused { reason } => return Err(HelloError::RefusedByPeer { reason }.into()),
            Message::Hello(_) | Message::Call { .. } => return Err(EndOfLink::OutOfTurn),
        }
    }
}
