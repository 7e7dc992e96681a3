//! Answers as values: a status, headers and a body, whole or made piece by piece.

use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

use bytes::Bytes;
use capstan_model::auth::Denied;
use futures::{
    Stream,
    stream::{self, BoxStream, StreamExt},
};
use http::{HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

use crate::{error::ArchiveError, ports::OutputError};

/// What a call is answered.
pub(crate) type Answer = Response<Body>;

/// The body of an answer.
pub(crate) enum Body {
    /// In memory.
    Whole(Bytes),
    /// Made as its reader takes it.
    Pieces(Pieces),
}

/// A body of which no more is in memory than the piece that is sent. An error breaks the connection off, so that its reader knows that
/// this was not the end.
// warp wants a stream that can be shared; it is only ever polled, by its owner, so the lock is never taken.
pub(crate) struct Pieces(Mutex<BoxStream<'static, Result<Bytes, BrokenOff>>>);

/// Why a body was broken off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenOff {
    /// The node takes no more work, or is about to stop.
    #[error("this node is draining or stopping")]
    NodeEnds,
    /// Nothing of the cluster may have reached the node for a while.
    #[error("no leader has acknowledged this node within the lease")]
    OutOfTouch,
    /// The next events were removed before they were read.
    #[error("the reader is so late that the next events are kept no more")]
    EventsGone,
    /// Who reads it may not any more.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// What comes next cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// So it is with output.
    #[error(transparent)]
    Output(#[from] OutputError),
}

#[cfg(test)]
impl Body {
    /// The bytes of a body that is in memory.
    pub(crate) fn into_whole(self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes,
            Self::Pieces(_) => panic!("this body is made piece by piece"),
        }
    }
}

impl Pieces {
    /// The pieces that `next` makes of one state after the other, until it has none any more.
    pub(crate) fn unfold<S, F, N>(state: S, next: N) -> Self
    where
        S: Send + 'static,
        F: Future<Output = Result<Option<(Bytes, S)>, BrokenOff>> + Send + 'static,
        N: FnMut(S) -> F + Send + 'static,
    {
        Self(Mutex::new(stream::try_unfold(state, next).boxed()))
    }
}

impl Stream for Pieces {
    type Item = Result<Bytes, BrokenOff>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let pieces = self.get_mut().0.get_mut().expect("a lock nobody takes is not poisoned");
        let next = pieces.poll_next_unpin(cx);
        if let Poll::Ready(Some(Err(error))) = &next {
            tracing::debug!(%error, "a stream was broken off");
        }
        next
    }
}

/// The content type of every JSON body, as Spin Cycle's framework spells it.
pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=UTF-8");
/// The content type of text for people.
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");

/// An answer with a body.
pub(crate) fn with_body(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Body::Whole(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// An answer whose body is made piece by piece.
pub(crate) fn in_pieces(content_type: HeaderValue, pieces: Pieces) -> Answer {
    let mut answer = Response::new(Body::Pieces(pieces));
    answer.headers_mut().insert(CONTENT_TYPE, content_type);
    answer
}

/// An answer without a body, and so without a content type.
pub(crate) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::Whole(Bytes::new()));
    *answer.status_mut() = status;
    answer
}

/// An answer in compact JSON, ending in a newline.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    let mut text = serde_json::to_vec(body).expect("wire types are plain data with text keys");
    text.push(b'\n');
    with_body(status, JSON, text)
}
