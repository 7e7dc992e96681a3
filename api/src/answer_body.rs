//! The body of an answer as a connection gets it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::Stream;
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Body as _;
use warp::Reply;

use crate::answer::{Answer, Body};

/// The body of an answer, piece by piece. Of one that is whole there is one piece at most.
pub struct AnswerBody(UnsyncBoxBody<Bytes, AnswerBroken>);

/// The answer was broken off before its end.
#[derive(Debug, thiserror::Error)]
#[error("the answer was broken off")]
pub struct AnswerBroken(#[source] warp::Error);

impl AnswerBody {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: hyper::body::Body<Data = Bytes, Error = warp::Error> + Send + 'static,
    {
        Self(body.map_err(AnswerBroken).boxed_unsync())
    }

    /// Whether all of it is there already; a stream may go on for ever.
    pub fn is_whole(&self) -> bool {
        self.0.size_hint().exact().is_some()
    }
}

impl Stream for AnswerBody {
    type Item = Result<Bytes, AnswerBroken>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        // There are no trailers.
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())))
    }
}

/// Hands an answer to warp.
pub(crate) fn for_warp(answer: Answer) -> warp::reply::Response {
    answer.map(|body| match body {
        Body::Whole(bytes) => bytes.into(),
        Body::Pieces(pieces) => warp::reply::stream(pieces).into_response().into_body(),
    })
}
