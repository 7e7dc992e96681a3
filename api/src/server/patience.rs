//! How long a connection may keep us waiting, by what it is doing.
//!
//! The stream notes when something moves, and whoever serves the connection looks every few seconds: a call costs two stores
//! instead of a timer.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use hyper::body::{Body, Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// How often to ask [`Watched::is_overdue`].
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a connection may rest between two calls, as pools of clients keep them.
const REST_MAX: Duration = Duration::from_secs(75);
/// How long the head of a call may take from its first byte.
const HEAD_MAX: Duration = Duration::from_secs(10);
/// How long an answer may stand still because its reader does not read.
const STALL_MAX: Duration = Duration::from_secs(30);

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Nothing; also before the first byte of the first call.
    Resting,
    /// A call's head is arriving.
    Head,
    /// A call is being served; how long its body may take is bounded where it is read.
    Serving,
    /// The answer is on its way.
    Answering,
    /// An answer is on its way that is made as it is taken: nothing of it may be there to be sent.
    Streaming,
}

/// What a connection is doing, and when it last got on with it.
#[derive(Debug)]
pub(super) struct Watched {
    opened: Instant,
    phase: AtomicU8,
    /// Milliseconds after `opened`.
    since: AtomicU64,
}

impl Watched {
    pub(super) fn new() -> Self {
        Self { opened: Instant::now(), phase: AtomicU8::new(Phase::Resting as u8), since: AtomicU64::new(0) }
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
        self.touch();
    }

    pub(super) fn phase(&self) -> Phase {
        let phases = [Phase::Resting, Phase::Head, Phase::Serving, Phase::Answering, Phase::Streaming];
        phases[usize::from(self.phase.load(Ordering::Relaxed))]
    }

    /// Whether the other end has kept us waiting too long.
    pub(super) fn is_overdue(&self) -> bool {
        let patience = match self.phase() {
            Phase::Resting => REST_MAX,
            Phase::Head => HEAD_MAX,
            Phase::Serving => return false,
            // Streams send heartbeats in less than that.
            Phase::Answering | Phase::Streaming => STALL_MAX,
        };
        self.opened.elapsed() >= Duration::from_millis(self.since.load(Ordering::Relaxed)) + patience
    }

    fn touch(&self) {
        let since = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.since.store(since, Ordering::Relaxed);
    }

    fn note_read(&self) {
        if self.phase() == Phase::Resting {
            self.enter(Phase::Head);
        }
    }

    fn note_written(&self) {
        if matches!(self.phase(), Phase::Answering | Phase::Streaming) {
            self.touch();
        }
    }

    fn note_flushed(&self) {
        if self.phase() == Phase::Answering {
            self.enter(Phase::Resting);
        }
    }
}

/// A stream that notes what moves on it.
#[derive(Debug)]
pub(super) struct Patience<S> {
    stream: S,
    watched: Arc<Watched>,
}

impl<S> Patience<S> {
    pub(super) fn new(stream: S, watched: Arc<Watched>) -> Self {
        Self { stream, watched }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.watched.note_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.watched.note_written();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.watched.note_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.watched.note_written();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// The body of an answer, as long as it is being sent: of a stream the connection takes note.
pub(super) struct StreamedBody<B> {
    body: B,
    watched: Arc<Watched>,
}

impl<B> StreamedBody<B> {
    /// The connection streams from now on.
    pub(super) fn new(body: B, watched: Arc<Watched>) -> Self {
        watched.enter(Phase::Streaming);
        Self { body, watched }
    }
}

impl<B: Body + Unpin> Body for StreamedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for StreamedBody<B> {
    fn drop(&mut self) {
        // What is left is on its way.
        self.watched.enter(Phase::Answering);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::advance,
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_in_is_given_up() {
        let (ours, mut theirs) = duplex(64);
        let watched = Arc::new(Watched::new());
        let mut stream = Patience::new(ours, Arc::clone(&watched));
        advance(REST_MAX - Duration::from_secs(1)).await;
        assert!(!watched.is_overdue(), "it may rest");
        for _ in 0..HEAD_MAX.as_secs() {
            assert!(!watched.is_overdue());
            theirs.write_all(b"x").await.unwrap();
            stream.read_u8().await.unwrap();
            advance(Duration::from_secs(1)).await;
        }
        assert!(watched.is_overdue(), "more bytes buy no more time");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_may_take_long_but_not_stand_still() {
        let (ours, mut theirs) = duplex(1);
        let watched = Arc::new(Watched::new());
        let mut stream = Patience::new(ours, Arc::clone(&watched));
        watched.enter(Phase::Serving);
        advance(Duration::from_secs(3_600)).await;
        assert!(!watched.is_overdue(), "serving is bounded elsewhere");
        watched.enter(Phase::Answering);
        for _ in 0..3 {
            advance(STALL_MAX - Duration::from_secs(1)).await;
            stream.write_all(b"x").await.unwrap();
            theirs.read_u8().await.unwrap();
            assert!(!watched.is_overdue());
        }
        advance(STALL_MAX).await;
        assert!(watched.is_overdue());
        stream.flush().await.unwrap();
        assert_eq!(watched.phase(), Phase::Resting, "the answer is out");
        assert!(!watched.is_overdue());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_may_go_on_for_ever_but_not_stand_still() {
        let (ours, mut theirs) = duplex(1);
        let watched = Arc::new(Watched::new());
        let mut stream = Patience::new(ours, Arc::clone(&watched));
        let body = StreamedBody::new(Full::<Bytes>::default(), Arc::clone(&watched));
        for _ in 0..5 {
            stream.write_all(b"x").await.unwrap();
            stream.flush().await.unwrap();
            theirs.read_u8().await.unwrap();
            assert_eq!(watched.phase(), Phase::Streaming, "more is to come");
            advance(STALL_MAX - Duration::from_secs(1)).await;
            assert!(!watched.is_overdue());
        }
        advance(STALL_MAX).await;
        assert!(watched.is_overdue());
        drop(body);
        stream.flush().await.unwrap();
        assert_eq!(watched.phase(), Phase::Resting, "the connection may be used again");
    }
}
