//! Accepts the connections that other nodes dial.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use capstan_raft_store::peer::PeerService;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    frame::{Frames, ReadError},
    hello::{self, HelloError},
    quiet::Quiet,
    serving::{self, EndOfService},
    socket,
};

/// The most connections at a time: four from each of many more nodes than a cluster has.
const CONNECTIONS_MAX: usize = 512;
/// How long to wait after `accept` failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts and serves connections until `closing` is set.
pub(super) async fn run(listener: TcpListener, service: Arc<dyn PeerService>, closing: CancellationToken) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let quiet = Arc::new(Quiet::default());
    while let Some(accepted) = closing.run_until_cancelled(accept(&listener, &connections)).await {
        match accepted {
            Ok((socket, permit)) => {
                let (service, quiet, closing) = (Arc::clone(&service), Arc::clone(&quiet), closing.clone());
                tokio::spawn(async move {
                    closing.run_until_cancelled(serve(socket, service, &quiet)).await;
                    drop(permit);
                });
            }
            Err(error) => {
                warn!("cannot accept a peer's connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.expect("the semaphore is never closed");
    let (socket, _) = listener.accept().await?;
    Ok((socket, permit))
}

async fn serve(mut socket: TcpStream, service: Arc<dyn PeerService>, quiet: &Quiet) {
    let address = socket.peer_addr().map_or_else(|_| "unknown".to_owned(), |address| address.to_string());
    if let Err(error) = socket::prepare(&socket) {
        debug!(address, "a peer's connection ended at once: {error}");
        return;
    }
    let mut frames = Frames::default();
    let (channel, identity) = match hello::welcome(&mut socket, &mut frames, &service).await {
        Ok(welcomed) => welcomed,
        // A port scan or a health check of some balancer.
        Err(HelloError::Unreadable(ReadError::Closed)) => return,
        Err(error) => {
            if let Some(swallowed) = quiet.news(&error.to_string(), Instant::now()) {
                warn!(address, swallowed, "a connection to the peer port was turned away: {error}");
            }
            return;
        }
    };
    debug!(peer = %identity.node, incarnation = %identity.incarnation, ?channel, address, "peer connected");
    let from = identity.node;
    match serving::serve(socket, frames, from, service).await {
        EndOfService::Read(ReadError::Closed | ReadError::Io(_) | ReadError::Truncated { .. }) => {
            debug!(peer = %from, ?channel, address, "peer disconnected");
        }
        // A node that its peers refuse hears so many times a second.
        end => {
            if let Some(swallowed) = quiet.news(&end.to_string(), Instant::now()) {
                warn!(peer = %from, ?channel, address, swallowed, "closed a peer's connection: {end}");
            }
        }
    }
}
