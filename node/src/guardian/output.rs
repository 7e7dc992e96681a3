//! What a process wrote: always read, never kept beyond a bound.

pub use capstan_model::workflow::output::STREAM_BYTES_MAX;
use serde::{Deserialize, Serialize};

use super::stream::Sink;

/// The end of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// At most [`STREAM_BYTES_MAX`] bytes, the last ones written.
    pub bytes: Vec<u8>,
    /// How many bytes were dropped before them.
    pub dropped: u64,
}

/// A stream while it is read.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    kept: Vec<u8>,
    dropped: u64,
}

/// Appends what was read, and drops what is too old. Holds at most twice the bound, so that a byte is moved once on
/// average.
impl Sink for Tail {
    fn push(&mut self, read: &[u8]) {
        self.kept.extend_from_slice(read);
        if self.kept.len() > 2 * STREAM_BYTES_MAX {
            self.cut();
        }
    }
}

impl Tail {
    /// The end of the stream.
    pub(crate) fn finish(mut self) -> Captured {
        self.cut();
        Captured { bytes: self.kept, dropped: self.dropped }
    }

    fn cut(&mut self) {
        let excess = self.kept.len().saturating_sub(STREAM_BYTES_MAX);
        self.kept.drain(..excess);
        self.dropped += excess as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept() {
        let mut tail = Tail::default();
        for round in 0..1_000_u32 {
            tail.push(&[round.to_le_bytes()[0]; 1_000]);
            assert!(tail.kept.len() <= 2 * STREAM_BYTES_MAX);
        }
        let captured = tail.finish();
        assert_eq!(captured.bytes.len(), STREAM_BYTES_MAX);
        assert_eq!(captured.dropped, 1_000_000 - STREAM_BYTES_MAX as u64);
        assert_eq!(captured.bytes.last(), Some(&999_u32.to_le_bytes()[0]));
    }

    #[test]
    fn a_short_stream_is_kept_whole() {
        let mut tail = Tail::default();
        tail.push(b"hello ");
        tail.push(b"world");
        assert_eq!(tail.finish(), Captured { bytes: b"hello world".to_vec(), dropped: 0 });
    }
}
