//! Frames on the socket pair: `u32` length (little endian), version byte, postcard. The length counts what follows it.

use std::marker::PhantomData;

use serde::{Serialize, de::DeserializeOwned};

use super::protocol::PROTOCOL_VERSION;

/// The longest frame, in bytes, its length field not counted.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

const LENGTH_BYTES: usize = 4;

/// Bytes that are no frame of this protocol, or a message too large for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The frame is longer than [`FRAME_BYTES_MAX`].
    #[error("a frame of {bytes} bytes; the most is {FRAME_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The other end speaks another version.
    #[error("a frame of protocol version {found}; this program speaks {PROTOCOL_VERSION}")]
    Version {
        /// The version byte received.
        found: u8,
    },
    /// The payload is not a known message.
    #[error("an undecodable frame")]
    Undecodable(#[source] postcard::Error),
}

/// Appends a message as one frame to `out`.
///
/// # Errors
/// A message too large for a frame leaves `out` unchanged.
pub fn encode<M: Serialize>(message: &M, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let payload = postcard::to_stdvec(message).expect("messages are serialisable");
    let bytes = payload.len() + 1;
    if bytes > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong { bytes });
    }
    let length = u32::try_from(bytes).expect("bounded by FRAME_BYTES_MAX");
    out.extend_from_slice(&length.to_le_bytes());
    out.push(PROTOCOL_VERSION);
    out.extend_from_slice(&payload);
    Ok(())
}

/// Received bytes, cut into messages.
#[derive(Debug)]
pub struct Inbox<M> {
    bytes: Vec<u8>,
    /// Where the first byte not yet decoded stands.
    start: usize,
    message: PhantomData<fn() -> M>,
}

impl<M> Default for Inbox<M> {
    fn default() -> Self {
        Self { bytes: Vec::new(), start: 0, message: PhantomData }
    }
}

impl<M: DeserializeOwned> Inbox<M> {
    /// Appends received bytes.
    pub fn extend(&mut self, received: &[u8]) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.extend_from_slice(received);
    }

    /// Takes the next complete message, if there is one.
    ///
    /// # Errors
    /// Bytes that are no frame; nothing after them can be understood.
    pub fn take(&mut self) -> Result<Option<M>, FrameError> {
        let rest = &self.bytes[self.start..];
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let bytes = usize::try_from(u32::from_le_bytes(*length)).expect("pointers have at least 32 bits");
        if bytes > FRAME_BYTES_MAX {
            return Err(FrameError::TooLong { bytes });
        }
        let Some(frame) = rest.get(..bytes) else { return Ok(None) };
        let (version, payload) = frame.split_first().unwrap_or((&0, &[]));
        if *version != PROTOCOL_VERSION {
            return Err(FrameError::Version { found: *version });
        }
        let message = postcard::from_bytes(payload).map_err(FrameError::Undecodable)?;
        self.start += LENGTH_BYTES + bytes;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_any_cut() {
        let mut wire = Vec::new();
        encode(&"first".to_owned(), &mut wire).unwrap();
        encode(&String::new(), &mut wire).unwrap();
        for cut in 0..=wire.len() {
            let mut inbox = Inbox::<String>::default();
            let mut got = Vec::new();
            for part in [&wire[..cut], &wire[cut..]] {
                inbox.extend(part);
                while let Some(message) = inbox.take().unwrap() {
                    got.push(message);
                }
            }
            assert_eq!(got, ["first", ""], "cut at {cut}");
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let cases: [(&[u8], FrameError); 3] = [
            (&[0, 0, 0, 0], FrameError::Version { found: 0 }),
            (&[1, 0, 0, 0, 9], FrameError::Version { found: 9 }),
            (&[0xff, 0xff, 0xff, 0xff], FrameError::TooLong { bytes: u32::MAX as usize }),
        ];
        for (bytes, error) in cases {
            let mut inbox = Inbox::<String>::default();
            inbox.extend(bytes);
            assert_eq!(inbox.take(), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn a_message_too_large_is_not_sent() {
        let mut wire = vec![7];
        let refused = encode(&"x".repeat(FRAME_BYTES_MAX), &mut wire);
        assert!(matches!(refused, Err(FrameError::TooLong { .. })));
        assert_eq!(wire, [7]);
    }
}
