//! Serves the calls of one accepted connection.
//!
//! One task does it all: it decodes what one read brought, polls each call's handler once, in the order of arrival, and
//! writes with one system call whatever replies have come together. Handlers that are not done at once wait beside each
//! other, so replies may overtake one another.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use capstan_model::ids::NodeId;
use capstan_raft_store::peer::{PeerReply, PeerService};
use futures::{FutureExt, StreamExt, poll, stream::FuturesUnordered};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tracing::error;

use super::{
    frame::{self, Frames, ReadError},
    message::{Message, PeerMessage},
};

/// The most calls of one connection that run at a time; further ones stay unread in the socket.
const RUNNING_MAX: usize = 4_096;
/// With more unwritten bytes of replies than these, no further calls are read.
const UNWRITTEN_BYTES_MAX: usize = 1024 * 1024;

/// Why a connection is served no longer.
#[derive(Debug, thiserror::Error)]
pub(super) enum EndOfService {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot write: {0}")]
    Write(std::io::Error),
    #[error("the dialler refused this node: {reason}")]
    Refused { reason: String },
    #[error("the dialler sent what only the dialled may send")]
    OutOfTurn,
}

/// What a handler left behind.
struct Served {
    id: u64,
    until: Instant,
    outcome: Result<PeerReply, Box<dyn Any + Send>>,
}

/// Serves the calls of `from` until the connection ends. Handlers still running then are run to their end, their replies
/// dropped: a call that was begun must not stop halfway.
pub(super) async fn serve(
    mut socket: TcpStream,
    mut frames: Frames,
    from: NodeId,
    service: Arc<dyn PeerService>,
) -> EndOfService {
    let (read, write) = socket.split();
    let mut running = FuturesUnordered::new();
    let end = exchange(read, write, &mut frames, &mut running, |id, deadline_ms, request| {
        let until = Instant::now() + Duration::from_millis(u64::from(deadline_ms));
        AssertUnwindSafe(service.handle(from, request)).catch_unwind().map(move |outcome| Served {
            id,
            until,
            outcome,
        })
    })
    .await;
    if !running.is_empty() {
        tokio::spawn(running.for_each(|_served| std::future::ready(())));
    }
    match end {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn exchange<F: Future<Output = Served> + Unpin>(
    mut read: impl AsyncRead + Unpin,
    mut write: impl AsyncWrite + Unpin,
    frames: &mut Frames,
    running: &mut FuturesUnordered<F>,
    handle: impl Fn(u64, u32, capstan_raft_store::peer::PeerRequest) -> F,
) -> Result<std::convert::Infallible, EndOfService> {
    let mut out = BytesMut::new();
    loop {
        while running.len() < RUNNING_MAX && out.len() < UNWRITTEN_BYTES_MAX {
            let Some(PeerMessage::V1(message)) = frames.take()? else { break };
            let (id, deadline_ms, request) = match message {
                Message::Call { id, deadline_ms, request } => (id, deadline_ms, request),
                // The dialler sees who answered only after this node has welcomed it.
                Message::Refused { reason } => return Err(EndOfService::Refused { reason }),
                Message::Hello(_) | Message::Reply { .. } => return Err(EndOfService::OutOfTurn),
            };
            let mut handler = handle(id, deadline_ms, request);
            match poll!(&mut handler) {
                Poll::Ready(served) => encode(served, &mut out),
                Poll::Pending => running.push(handler),
            }
        }
        while let Poll::Ready(Some(served)) = poll!(running.next()) {
            encode(served, &mut out);
        }
        let may_read = running.len() < RUNNING_MAX && out.len() < UNWRITTEN_BYTES_MAX;
        tokio::select! {
            written = write.write_buf(&mut out), if !out.is_empty() => {
                written.map_err(EndOfService::Write)?;
            }
            arrived = frames.read(&mut read), if may_read => arrived?,
            Some(served) = running.next(), if !running.is_empty() => encode(served, &mut out),
        }
    }
}

/// Puts the reply behind the others, unless its caller has given up by now.
fn encode(served: Served, out: &mut BytesMut) {
    let Served { id, until, outcome } = served;
    if Instant::now() >= until {
        return;
    }
    let reply = outcome.unwrap_or_else(|panic| {
        error!("bug: the handler of a peer's call panicked: {}", panic_text(&*panic));
        PeerReply::Failed("the handler panicked".to_owned())
    });
    if let Err(too_large) = frame::encode(&PeerMessage::V1(Message::Reply { id, reply }), out) {
        error!("bug: a reply to a peer is {too_large}");
        let reply = PeerReply::Failed(too_large.to_string());
        frame::encode(&PeerMessage::V1(Message::Reply { id, reply }), out)
            .expect("a short text fits a frame");
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
