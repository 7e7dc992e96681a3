//! Frames: `u32 length, u32 crc32c, payload`, both numbers little-endian, the payload a [`PeerMessage`] in postcard.
//!
//! A frame's length is checked before anything is allocated for it, its checksum before anything is decoded.

use std::io;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::message::PeerMessage;

/// The largest payload.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The largest payload of a peer that has not said who it is.
pub const HELLO_BYTES_MAX: usize = 4 * 1024;

const HEADER_BYTES: usize = 8;
/// How much is read at a time; also how much an idle connection keeps.
const READ_BYTES: usize = 64 * 1024;

/// A message whose payload is larger than [`PAYLOAD_BYTES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a message of {bytes} bytes; the most is {PAYLOAD_BYTES_MAX}")]
pub struct MessageTooLarge {
    /// Its encoded size.
    pub bytes: usize,
}

/// Why nothing more can be read from a connection.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The other end closed it between two frames.
    #[error("the other end closed the connection")]
    Closed,
    /// It ended within a frame.
    #[error("the connection ended within a frame, after {bytes} bytes of it")]
    Truncated {
        /// What had arrived of the frame.
        bytes: usize,
    },
    /// The socket failed.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// A length that no peer of ours would send.
    #[error("a frame announces {bytes} bytes, the most is {limit}: not one of ours, or damaged")]
    TooLarge {
        /// What the header says.
        bytes: usize,
        /// The most that is taken here.
        limit: usize,
    },
    /// The payload is not what was sent.
    #[error("a frame's checksum does not match its {bytes} bytes")]
    Checksum {
        /// The payload's length.
        bytes: usize,
    },
    /// The payload is intact, and no message this program knows.
    #[error("a frame holds no known message: {0}")]
    Undecodable(String),
}

/// Appends one frame to `out`, or leaves it unchanged.
///
/// # Errors
/// Refuses a message that is too large.
pub fn encode(message: &PeerMessage, out: &mut BytesMut) -> Result<(), MessageTooLarge> {
    let start = out.len();
    out.put_bytes(0, HEADER_BYTES);
    postcard::to_io(message, (&mut *out).writer())
        .expect("peer messages are serialisable, and memory takes every byte");
    let payload = &out[start + HEADER_BYTES..];
    let bytes = payload.len();
    if bytes > PAYLOAD_BYTES_MAX {
        out.truncate(start);
        return Err(MessageTooLarge { bytes });
    }
    let checksum = crc32c::crc32c(payload);
    let length = u32::try_from(bytes).expect("at most 16 MiB");
    let mut header = &mut out[start..start + HEADER_BYTES];
    header.put_u32_le(length);
    header.put_u32_le(checksum);
    Ok(())
}

/// The reading half of a connection, cut into messages.
#[derive(Debug)]
pub struct Frames {
    buffer: BytesMut,
    limit: usize,
}

impl Default for Frames {
    /// Starts with the small limit of a peer that has not said who it is.
    fn default() -> Self {
        Self { buffer: BytesMut::new(), limit: HELLO_BYTES_MAX }
    }
}

impl Frames {
    /// Takes frames of every size from now on.
    pub fn trust(&mut self) {
        self.limit = PAYLOAD_BYTES_MAX;
    }

    /// Takes the next message out of what has been read; `None` when more must be read first.
    ///
    /// # Errors
    /// Bytes that are no frame of ours; the connection is of no use any more.
    pub fn take(&mut self) -> Result<Option<PeerMessage>, ReadError> {
        let Some(mut header) = self.buffer.get(..HEADER_BYTES) else { return Ok(None) };
        let bytes = header.get_u32_le() as usize;
        let checksum = header.get_u32_le();
        if bytes > self.limit {
            return Err(ReadError::TooLarge { bytes, limit: self.limit });
        }
        let Some(payload) = self.buffer.get(HEADER_BYTES..HEADER_BYTES + bytes) else {
            self.buffer.reserve(HEADER_BYTES + bytes - self.buffer.len());
            return Ok(None);
        };
        if crc32c::crc32c(payload) != checksum {
            return Err(ReadError::Checksum { bytes });
        }
        let message = match postcard::take_from_bytes(payload) {
            Ok((message, [])) => message,
            Ok((_, rest)) => return Err(ReadError::Undecodable(format!("{} bytes too many", rest.len()))),
            Err(error) => return Err(ReadError::Undecodable(error.to_string())),
        };
        self.buffer.advance(HEADER_BYTES + bytes);
        Ok(Some(message))
    }

    /// Reads what the socket has; waits until it has something. Loses nothing when dropped.
    ///
    /// # Errors
    /// The connection ended or failed.
    pub async fn read(&mut self, socket: &mut (impl AsyncRead + Unpin)) -> Result<(), ReadError> {
        if self.buffer.is_empty() && self.buffer.capacity() > READ_BYTES {
            // One large frame must not cost its memory for ever.
            self.buffer = BytesMut::new();
        }
        if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 4 {
            self.buffer.reserve(READ_BYTES);
        }
        match socket.read_buf(&mut self.buffer).await? {
            0 if self.buffer.is_empty() => Err(ReadError::Closed),
            0 => Err(ReadError::Truncated { bytes: self.buffer.len() }),
            _ => Ok(()),
        }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// As [`Self::take`] and [`Self::read`].
    pub async fn receive(&mut self, socket: &mut (impl AsyncRead + Unpin)) -> Result<PeerMessage, ReadError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(message);
            }
            self.read(socket).await?;
        }
    }
}

#[cfg(test)]
mod tests {
    use capstan_raft_store::peer::{PeerReply, PeerRequest};

    use super::*;
    use crate::peer_net::message::Message;

    fn call(id: u64, payload: &'static [u8]) -> PeerMessage {
        PeerMessage::V1(Message::Call { id, deadline_ms: 10, request: PeerRequest::Append(payload.into()) })
    }

    fn framed(messages: &[PeerMessage]) -> BytesMut {
        let mut out = BytesMut::new();
        for message in messages {
            encode(message, &mut out).unwrap();
        }
        out
    }

    fn trusted(bytes: &[u8]) -> Frames {
        Frames { buffer: bytes.into(), limit: PAYLOAD_BYTES_MAX }
    }

    #[test]
    fn a_frame_is_length_checksum_and_payload() {
        let message = PeerMessage::V1(Message::Reply { id: 7, reply: PeerReply::IsEmpty(true) });
        let payload = [0, 3, 7, 5, 1];
        let mut expected = vec![5, 0, 0, 0];
        expected.extend(crc32c::crc32c(&payload).to_le_bytes());
        expected.extend(payload);
        assert_eq!(framed(&[message])[..], expected[..]);
    }

    #[tokio::test]
    async fn messages_are_found_wherever_reads_cut_them() {
        let messages = [call(1, b""), call(2, &[7; 300]), call(3, b"x")];
        let bytes = framed(&messages);
        for cut in 0..bytes.len() {
            let mut socket = tokio::io::join(&bytes[..cut], tokio::io::sink());
            let mut rest = &bytes[cut..];
            let mut frames = trusted(b"");
            let mut found = Vec::new();
            while found.len() < messages.len() {
                match frames.take().unwrap() {
                    Some(message) => found.push(message),
                    None if frames.read(&mut socket).await.is_ok() => {}
                    None => frames.read(&mut rest).await.unwrap(),
                }
            }
            assert_eq!(found, messages, "cut at {cut}");
        }
    }

    #[test]
    fn a_damaged_frame_is_refused_and_never_decoded() {
        let bytes = framed(&[call(1, &[9; 40])]);
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 0x10;
            let read = trusted(&damaged).take();
            // A damaged length may merely ask for more bytes than there are.
            let refused = matches!(read, Err(ReadError::Checksum { .. } | ReadError::TooLarge { .. }))
                || (at < 4 && matches!(read, Ok(None)));
            assert!(refused, "byte {at}: {read:?}");
        }
    }

    #[test]
    fn an_announced_length_past_the_limit_allocates_nothing() {
        let mut frames = trusted(&[0xff; HEADER_BYTES]);
        let before = frames.buffer.capacity();
        assert!(matches!(frames.take(), Err(ReadError::TooLarge { bytes: 0xffff_ffff, .. })));
        assert_eq!(frames.buffer.capacity(), before);
    }

    #[test]
    fn a_stranger_may_send_a_hello_and_no_more() {
        let bytes = framed(&[call(1, &[0; HELLO_BYTES_MAX])]);
        let mut frames = Frames { buffer: bytes, ..Frames::default() };
        assert!(matches!(frames.take(), Err(ReadError::TooLarge { limit: HELLO_BYTES_MAX, .. })));
        frames.trust();
        assert!(matches!(frames.take(), Ok(Some(_))));
    }

    #[test]
    fn bytes_behind_a_message_are_refused() {
        let payload = [0, 3, 7, 5, 1, 99];
        let mut bytes = vec![6, 0, 0, 0];
        bytes.extend(crc32c::crc32c(&payload).to_le_bytes());
        bytes.extend(payload);
        assert!(matches!(trusted(&bytes).take(), Err(ReadError::Undecodable(_))));
    }

    #[test]
    fn a_message_that_is_too_large_leaves_the_buffer_as_it_was() {
        let mut out = framed(&[call(1, b"a")]);
        let before = out.clone();
        let huge = PeerMessage::V1(Message::Call {
            id: 2,
            deadline_ms: 1,
            request: PeerRequest::Append(vec![0; PAYLOAD_BYTES_MAX + 1].into()),
        });
        assert!(encode(&huge, &mut out).is_err());
        assert_eq!(out, before);
    }
}
