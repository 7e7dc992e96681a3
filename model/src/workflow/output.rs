//! What a try wrote to stdout or stderr: the last part of it, compressed.
//!
//! The owner cuts and compresses, apply refuses what is larger than it may be, readers expand.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde::{Deserialize, Serialize};

/// The most bytes kept of one stream of one try.
pub const STREAM_BYTES_MAX: usize = 64 * 1024;
/// The most bytes kept of one stream of one try, once the request holds [`REQUEST_OUTPUT_BYTES_MAX`].
pub const STREAM_BYTES_LEFT: usize = 1024;
/// The stored bytes of output from which on a request's tries keep only [`STREAM_BYTES_LEFT`] of each stream.
pub const REQUEST_OUTPUT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Room for the mark, and for what compression adds to bytes that have no pattern.
const STORED_BYTES_EXTRA: usize = 256;
/// Output of fewer bytes is stored as it is.
const PLAIN_BYTES_MAX: usize = 128;
/// The most bytes an output is expanded to: replacing what is not UTF-8 triples it at worst.
const TEXT_BYTES_MAX: u64 = 4 * STREAM_BYTES_MAX as u64;

/// The end of one stream of one try, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Stored as it is.
    Plain(Bytes),
    /// Compressed with raw deflate.
    Deflated(Bytes),
}

impl Default for Output {
    fn default() -> Self {
        Self::Plain(Bytes::new())
    }
}

/// The end of a stream, as the process wrote it.
#[derive(Debug, Clone, Copy)]
pub struct Tail<'a> {
    /// The last bytes.
    pub bytes: &'a [u8],
    /// How many bytes came before them and were dropped.
    pub dropped: u64,
}

impl Output {
    /// Keeps at most the last `bytes_max` bytes, with a mark where it was cut; what is not UTF-8 becomes U+FFFD.
    pub fn new(tail: Tail<'_>, bytes_max: usize) -> Self {
        let cut = tail.bytes.len().saturating_sub(bytes_max);
        // A character is not cut in half: its last bytes go with its first.
        let inside = tail.bytes[cut..].iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
        let cut = if cut > 0 || tail.dropped > 0 { cut + inside } else { 0 };
        let dropped = tail.dropped + cut as u64;
        let kept = String::from_utf8_lossy(&tail.bytes[cut..]);
        let text = match dropped {
            0 => kept.into_owned(),
            _ => format!("[{dropped} bytes were cut here]\n{kept}"),
        };
        if text.len() <= PLAIN_BYTES_MAX {
            return Self::Plain(text.into());
        }
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).expect("a vector takes every write");
        Self::Deflated(encoder.finish().expect("a vector takes every write").into())
    }

    /// The text; what cannot be expanded reads as empty.
    pub fn text(&self) -> String {
        match self {
            Self::Plain(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Deflated(bytes) => {
                let mut text = Vec::new();
                // A broken stream ends the reading; what came before it is still of use.
                let _ = DeflateDecoder::new(&**bytes).take(TEXT_BYTES_MAX).read_to_end(&mut text);
                String::from_utf8_lossy(&text).into_owned()
            }
        }
    }

    /// How many bytes it takes as stored.
    pub fn stored_bytes(&self) -> usize {
        match self {
            Self::Plain(bytes) | Self::Deflated(bytes) => bytes.len(),
        }
    }
}

/// How many bytes of each stream a try may keep, when its request holds `stored` bytes of output already.
pub fn stream_bytes_max(stored: u64) -> usize {
    if stored < REQUEST_OUTPUT_BYTES_MAX { STREAM_BYTES_MAX } else { STREAM_BYTES_LEFT }
}

/// The largest stored form of a stream of which `bytes_max` bytes were kept.
pub fn stored_bytes_max(bytes_max: usize) -> usize {
    bytes_max + STORED_BYTES_EXTRA
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_stream_is_kept_with_a_mark() {
        let cases: [(&[u8], u64, usize, &str); 6] = [
            (b"", 0, 10, ""),
            (b"all of it", 0, 10, "all of it"),
            (b"0123456789abc", 0, 10, "[3 bytes were cut here]\n3456789abc"),
            (b"0123456789", 7, 10, "[7 bytes were cut here]\n0123456789"),
            ("ab\u{e4}cd".as_bytes(), 0, 3, "[4 bytes were cut here]\ncd"),
            (b"\x80\xffx", 0, 10, "\u{fffd}\u{fffd}x"),
        ];
        for (bytes, dropped, bytes_max, text) in cases {
            assert_eq!(Output::new(Tail { bytes, dropped }, bytes_max).text(), text, "{bytes:?}");
        }
    }

    #[test]
    fn even_bytes_without_a_pattern_fit_the_bound() {
        let mut seed = 1_u32;
        let noise: Vec<u8> = (0..STREAM_BYTES_MAX)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                b' ' + (seed >> 24) as u8 % 95
            })
            .collect();
        let output = Output::new(Tail { bytes: &noise, dropped: 9 }, STREAM_BYTES_MAX);
        assert!(output.stored_bytes() <= stored_bytes_max(STREAM_BYTES_MAX));
        assert!(output.text().ends_with(std::str::from_utf8(&noise).unwrap()));
    }

    #[test]
    fn a_broken_stream_reads_without_a_panic() {
        assert_eq!(Output::Deflated(Bytes::from_static(&[0xff; 9])).text(), "");
    }
}
