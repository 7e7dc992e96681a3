//! Connections: the accept loop under warp's service, with the bounds warp has not.
//!
//! Runs in production only; the simulator calls [`Api::call`]. So this module, unlike the rest of the crate, starts its tasks
//! directly on tokio.

mod patience;

use std::{
    convert::Infallible,
    io::{self, Write},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use http_body_util::Either;
use hyper::{
    Request,
    body::{Body, Incoming},
    server::conn::http1,
    service::Service,
    service::service_fn,
};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{interval, sleep, timeout},
};

use self::patience::{LOOK_EVERY, Patience, Phase, StreamedBody, Watched};
use crate::Api;

/// How many connections one listener serves at a time.
const CONNECTIONS_MAX: usize = 10_240;
/// The largest head of a call, in bytes; hyper answers a larger one with 431 or 414. Also bounds what is buffered of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// How long the loop waits when the process has run out of what a connection needs.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// What one connection too many is told before it is closed.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The bounds of one listener.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// How many connections are served at a time; one more is told to come back.
    pub connections_max: usize,
    /// How long calls in flight may take to end once the server is told to stop.
    pub drain_max: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections_max: CONNECTIONS_MAX, drain_max: Duration::from_secs(5) }
    }
}

/// Serves connections until `stop` turns true or its sender is gone; then takes no more, closes idle ones, breaks streams off, and gives
/// calls in flight [`Options::drain_max`].
pub async fn serve(listener: TcpListener, api: Api, options: Options, mut stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(options.connections_max));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => drop(tokio::spawn(connection(stream, api.clone(), stop.clone(), place))),
                Err(_) => turn_away(stream),
            },
            Err(error) => recover(&error).await,
        }
    }
    drop(listener);
    api.end_streams();
    let all = u32::try_from(options.connections_max).unwrap_or(u32::MAX);
    if timeout(options.drain_max, places.acquire_many(all)).await.is_err() {
        tracing::warn!("some HTTP calls were still in flight when the listener stopped");
    }
}

/// Serves one connection until it ends, is told to, or has tried our patience. Its place is free again once it is gone.
async fn connection(
    stream: TcpStream,
    api: Api,
    mut stop: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection was gone before it was served");
        return;
    }
    let watched = Arc::new(Watched::new());
    let io = TokioIo::new(Patience::new(stream, Arc::clone(&watched)));
    let service = TowerToHyperService::new(warp::service(api.filter()));
    let service = service_fn(|request: Request<Incoming>| {
        watched.enter(Phase::Serving);
        let answering = service.call(request);
        let watched = &watched;
        async move {
            let Ok(answer) = answering.await;
            Ok::<_, Infallible>(answer.map(|body| match body.size_hint().exact() {
                Some(_) => {
                    watched.enter(Phase::Answering);
                    Either::Left(body)
                }
                None => Either::Right(StreamedBody::new(body, Arc::clone(watched))),
            }))
        }
    });
    let mut builder = http1::Builder::new();
    // `Patience` bounds the head by itself, since hyper's timeout would also cut off connections that rest between calls.
    builder.header_read_timeout(None).max_buf_size(HEAD_BYTES_MAX).title_case_headers(true);
    let mut connection = pin!(builder.serve_connection(io, service));
    let mut look = interval(LOOK_EVERY);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            _ = look.tick() => {
                if watched.is_overdue() {
                    tracing::debug!(phase = ?watched.phase(), "a connection was given up");
                    return;
                }
            }
        }
    }
}

/// Tells the caller to come back, as far as that can be done without waiting for it.
fn turn_away(stream: TcpStream) {
    let told = stream.into_std().and_then(|mut stream| stream.write(BUSY));
    tracing::debug!(?told, "a connection too many was turned away");
}

/// Waits where waiting helps: a connection that went away before it was accepted concerns no other.
async fn recover(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        return;
    }
    tracing::warn!(%error, "connections cannot be accepted just now");
    sleep(ACCEPT_PAUSE).await;
}
