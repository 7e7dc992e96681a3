//! The fuzzer's way to the reader of streams, which is private.

use super::{Notice, frames::Frames};

/// What was made of the bytes of a stream.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    /// The events in it.
    pub notices: Vec<Notice>,
    /// Behind which event it can be resumed; empty before the first.
    pub last_id: String,
    /// Whether there was a frame too long to be one, at which reading ended.
    pub is_too_long: bool,
}

/// Reads the bytes of a stream, so many at a time.
pub fn read_stream(bytes: &[u8], portion: usize) -> Read {
    let (mut frames, mut notices) = (Frames::default(), Vec::new());
    let is_too_long = bytes.chunks(portion.max(1)).any(|piece| frames.take(piece, &mut notices).is_err());
    Read { notices, last_id: frames.last_id().to_owned(), is_too_long }
}
