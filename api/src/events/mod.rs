//! Streams of events: a cursor over the rows of public events, woken by the applied index.
//!
//! A reader holds no queue that could overflow: it reads on when its connection takes more. Every node gives the same event the same id,
//! so a reader that is broken off goes on at any of them.

mod cursor;
mod frame;
mod position;

use capstan_model::history::Recorded;
use http::{
    HeaderValue,
    header::{CACHE_CONTROL, CONNECTION},
};

pub(crate) use self::frame::Frame;
use self::{cursor::Cursor, position::Position};
use crate::{
    answer::{self, Answer},
    call::Head,
    error::ApiError,
    headers,
    service::Inner,
};

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const NOT_CACHED: HeaderValue = HeaderValue::from_static("no-cache, no-store, must-revalidate");
const KEPT_ALIVE: HeaderValue = HeaderValue::from_static("keep-alive");

/// Begins a stream at what happens next, or behind the event that `Last-Event-ID` names. `show` makes frames of the events that the
/// stream is about.
pub(crate) async fn stream(
    api: &Inner,
    head: &Head<'_>,
    show: impl Fn(&Recorded) -> Option<Frame> + Send + Sync + Clone + 'static,
) -> Result<Answer, ApiError> {
    let open = api.streams.open(&api.parts.cluster, &api.parts.health, head)?;
    open.may_begin()?;
    let Position { next, index } = position::find(&api.parts.cluster, head).await?;
    let mut answer = answer::in_pieces(EVENT_STREAM, Cursor::new(open, next, show).pieces());
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, NOT_CACHED);
    headers.insert(CONNECTION, KEPT_ALIVE);
    headers.insert(headers::INDEX, HeaderValue::from(index));
    Ok(answer)
}
