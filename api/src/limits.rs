//! Bounds on what one call may bring, and on how many calls are served at a time.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use http::{
    HeaderMap,
    header::{CONTENT_LENGTH, EXPECT},
};

use crate::{call::Head, error::InputError};

/// The longest path with its query, in bytes.
const URI_BYTES_MAX: usize = 8 * 1024;
/// How long a body may take to arrive.
const BODY_WAIT_MAX: Duration = Duration::from_secs(30);
/// How much of a body that is too large is read and thrown away, so that its sender gets to see the answer: a connection closed
/// on unread bytes is reset, and the reset overtakes the answer.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;

/// Refuses a call whose line is longer than anything this surface has a use for.
///
/// # Errors
/// [`InputError::UriTooLong`].
pub(crate) fn check_uri(head: &Head<'_>) -> Result<(), InputError> {
    if head.path.len() + head.query.len() > URI_BYTES_MAX {
        return Err(InputError::UriTooLong { bytes_max: URI_BYTES_MAX });
    }
    Ok(())
}

/// Reads a whole body, whether its length was announced or not.
///
/// # Errors
/// [`InputError::BodyTooLarge`] as soon as it is known to have more than `bytes_max`, [`InputError::BodyTimeout`] when it does
/// not arrive in time, [`InputError::BodyBroken`] when it ends early.
pub(crate) async fn read_body<S, B, E>(
    headers: &HeaderMap,
    body: S,
    bytes_max: usize,
) -> Result<Bytes, InputError>
where
    S: Stream<Item = Result<B, E>>,
    B: Buf,
{
    let reading = async {
        futures::pin_mut!(body);
        let announced =
            headers.get(CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<usize>().ok());
        let result = match announced {
            Some(bytes) if bytes > bytes_max => Err(InputError::BodyTooLarge { bytes_max }),
            _ => collect(body.as_mut(), bytes_max).await,
        };
        // Who waits for "100 Continue" has sent nothing and must not be told to.
        if matches!(result, Err(InputError::BodyTooLarge { .. })) && !headers.contains_key(EXPECT) {
            discard(body).await;
        }
        result
    };
    tokio::time::timeout(BODY_WAIT_MAX, reading).await.unwrap_or(Err(InputError::BodyTimeout))
}

async fn collect<S, B, E>(mut body: S, bytes_max: usize) -> Result<Bytes, InputError>
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    // Small bodies arrive in one piece, which is handed on without a copy.
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let mut chunk = chunk.map_err(|_| InputError::BodyBroken)?;
        let len = chunk.remaining();
        if first.len() + more.len() + len > bytes_max {
            return Err(InputError::BodyTooLarge { bytes_max });
        }
        let chunk = chunk.copy_to_bytes(len);
        if first.is_empty() {
            first = chunk;
        } else {
            more.extend_from_slice(&chunk);
        }
    }
    if more.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + more.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&more);
    Ok(whole.freeze())
}

async fn discard<S, B, E>(mut body: S)
where
    S: Stream<Item = Result<B, E>> + Unpin,
    B: Buf,
{
    let mut left = DISCARDED_BYTES_MAX;
    while let Some(Ok(chunk)) = body.next().await {
        match left.checked_sub(chunk.remaining()) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// Counts the calls being served.
#[derive(Debug)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    count_max: usize,
}

/// A call's place among those being served; gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Admitted<'a>(&'a AtomicUsize);

impl InFlight {
    pub(crate) fn new(count_max: usize) -> Self {
        Self { count: AtomicUsize::new(0), count_max }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`InputError::TooManyCalls`] when all are taken.
    pub(crate) fn admit(&self) -> Result<Admitted<'_>, InputError> {
        let place = Admitted(&self.count);
        if self.count.fetch_add(1, Ordering::Relaxed) < self.count_max {
            return Ok(place);
        }
        Err(InputError::TooManyCalls { calls_max: self.count_max })
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http::HeaderValue;

    use super::*;

    fn chunks(sizes: &[usize]) -> impl Stream<Item = Result<Bytes, Infallible>> {
        stream::iter(sizes.iter().map(|n| Ok(Bytes::from(vec![b'x'; *n]))).collect::<Vec<_>>())
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound() {
        for sizes in [&[][..], &[10], &[4, 6], &[3, 3, 3, 1]] {
            let body = read_body(&HeaderMap::new(), chunks(sizes), 10).await.unwrap();
            assert_eq!(body.len(), sizes.iter().sum::<usize>());
        }
        for sizes in [&[11][..], &[4, 7], &[1; 11]] {
            let refused = read_body(&HeaderMap::new(), chunks(sizes), 10).await;
            assert!(matches!(refused, Err(InputError::BodyTooLarge { bytes_max: 10 })), "{sizes:?}");
        }
    }

    #[tokio::test]
    async fn a_body_announced_too_large_is_refused_unread_when_its_sender_waits() {
        let mut headers = HeaderMap::from_iter([(CONTENT_LENGTH, HeaderValue::from(11))]);
        headers.insert(EXPECT, HeaderValue::from_static("100-continue"));
        let body = stream::pending::<Result<Bytes, Infallible>>();
        assert!(matches!(read_body(&headers, body, 10).await, Err(InputError::BodyTooLarge { .. })));
    }

    #[tokio::test]
    async fn a_body_without_end_is_given_up() {
        let endless = stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 1024])));
        assert!(matches!(
            read_body(&HeaderMap::new(), endless, 10).await,
            Err(InputError::BodyTooLarge { .. })
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_arriving_times_out() {
        let stuck = chunks(&[5]).chain(stream::pending());
        assert!(matches!(read_body(&HeaderMap::new(), stuck, 10).await, Err(InputError::BodyTimeout)));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_refused() {
        let broken = chunks(&[5]).map(|c| c.map_err(|_| ())).chain(stream::iter([Err(())]));
        assert!(matches!(read_body(&HeaderMap::new(), broken, 10).await, Err(InputError::BodyBroken)));
    }

    #[test]
    fn places_are_given_back() {
        let in_flight = InFlight::new(2);
        let (first, _second) = (in_flight.admit().unwrap(), in_flight.admit().unwrap());
        assert!(in_flight.admit().is_err());
        drop(first);
        assert!(in_flight.admit().is_ok());
    }
}
