//! How two nodes greet each other: each says who it is, each may refuse the other, and both learn why.

use std::{sync::Arc, time::Duration};

use bytes::BytesMut;
use capstan_model::ids::NodeId;
use capstan_raft_store::peer::{Channel, PeerIdentity, PeerService};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::{
    frame::{self, Frames, ReadError},
    message::{Hello, Message, PROTOCOL, PeerMessage},
};

/// How long the other end may take for its hello.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why two nodes do not talk.
#[derive(Debug, thiserror::Error)]
pub enum HelloError {
    /// The other end does not want this node.
    #[error("the peer refused this node: {reason}")]
    RefusedByPeer {
        /// What it said.
        reason: String,
    },
    /// This node does not want the other end.
    #[error("refused the peer: {reason}")]
    Refused {
        /// What it was told.
        reason: String,
    },
    /// The other end said nothing.
    #[error("no hello within {PATIENCE:?}")]
    Silent,
    /// The other end is none of ours, or the connection is damaged.
    #[error("no hello: {0}")]
    Unreadable(#[from] ReadError),
    /// The hello could not be sent.
    #[error("cannot send a hello: {0}")]
    Unsent(#[from] std::io::Error),
}

/// The dialler's part: says who this node is and checks who answers.
///
/// # Errors
/// One end refused the other, or there was no answer.
pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    frames: &mut Frames,
    service: &Arc<dyn PeerService>,
    dialled: NodeId,
    channel: Channel,
) -> Result<(), HelloError> {
    send(socket, our_hello(service, channel)).await?;
    let hello = match receive(socket, frames).await? {
        Message::Hello(hello) => hello,
        Message::Refused { reason } => return Err(HelloError::RefusedByPeer { reason }),
        Message::Call { .. } | Message::Reply { .. } => {
            return refuse(socket, "a hello comes first".to_owned()).await;
        }
    };
    if let Err(reason) = hello.identity.check_dialled(dialled) {
        return refuse(socket, reason).await;
    }
    if let Some(reason) = objection(service, &hello) {
        return refuse(socket, reason).await;
    }
    frames.trust();
    Ok(())
}

/// The other part: checks who dialled and says who answers.
///
/// # Errors
/// One end refused the other, or there was no hello.
pub async fn welcome<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut S,
    frames: &mut Frames,
    service: &Arc<dyn PeerService>,
) -> Result<(Channel, PeerIdentity), HelloError> {
    let hello = match receive(socket, frames).await {
        Ok(Message::Hello(hello)) => hello,
        Ok(_) => return refuse(socket, "a hello comes first".to_owned()).await,
        Err(HelloError::Unreadable(error @ (ReadError::Checksum { .. } | ReadError::Undecodable(_)))) => {
            return refuse(socket, error.to_string()).await;
        }
        Err(error) => return Err(error),
    };
    if let Some(reason) = objection(service, &hello) {
        return refuse(socket, reason).await;
    }
    send(socket, our_hello(service, hello.channel)).await?;
    frames.trust();
    Ok((hello.channel, hello.identity))
}

fn our_hello(service: &Arc<dyn PeerService>, channel: Channel) -> Message {
    Message::Hello(Box::new(Hello { protocol: PROTOCOL, channel, identity: service.identity() }))
}

/// Why this node does not talk to the sender of a hello.
fn objection(service: &Arc<dyn PeerService>, hello: &Hello) -> Option<String> {
    let me = service.identity().node;
    if hello.protocol != PROTOCOL {
        return Some(format!("node {me} speaks peer protocol {PROTOCOL}, not {}", hello.protocol));
    }
    if hello.identity.node == me {
        return Some(format!(
            "node {me} was reached by a node of the same id: check the configured ids and addresses"
        ));
    }
    service.admit(&hello.identity).err()
}

async fn refuse<S: AsyncWrite + Unpin, T>(socket: &mut S, reason: String) -> Result<T, HelloError> {
    // Whether the peer hears it or not, the connection ends here.
    let _ = send(socket, Message::Refused { reason: reason.clone() }).await;
    let _ = socket.shutdown().await;
    Err(HelloError::Refused { reason })
}

async fn send<S: AsyncWrite + Unpin>(socket: &mut S, message: Message) -> Result<(), HelloError> {
    let mut out = BytesMut::new();
    frame::encode(&PeerMessage::V1(message), &mut out).map_err(std::io::Error::other)?;
    timeout(PATIENCE, socket.write_all(&out)).await.map_err(|_late| HelloError::Silent)??;
    Ok(())
}

async fn receive<S: AsyncRead + Unpin>(socket: &mut S, frames: &mut Frames) -> Result<Message, HelloError> {
    let PeerMessage::V1(message) =
        timeout(PATIENCE, frames.receive(socket)).await.map_err(|_late| HelloError::Silent)??;
    Ok(message)
}
