//! Output as it is stored and shown: text, marked where it was cut.

use std::io::{self, Read, Write};

use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};

use crate::guardian::output::{Captured, STREAM_BYTES_MAX};

/// The longest text of one stream, its mark included: the text itself and one line.
pub const TEXT_BYTES_MAX: usize = STREAM_BYTES_MAX + 64;

/// One stream of a process as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputText {
    /// The end of the stream, at most [`TEXT_BYTES_MAX`] bytes; bytes that are not UTF-8 became U+FFFD. When it was
    /// cut it begins with a line that says so.
    pub text: String,
    /// Whether something before it was cut.
    pub cut: bool,
}

impl OutputText {
    /// Makes text of what was kept of a stream.
    pub fn new(captured: &Captured) -> Self {
        let whole_chars = if captured.dropped == 0 { 0 } else { partial_char_len(&captured.bytes) };
        let decoded = String::from_utf8_lossy(&captured.bytes[whole_chars..]);
        // A replaced byte takes three, so that the text may need a cut when the bytes did not.
        let start = decoded.ceil_char_boundary(decoded.len().saturating_sub(STREAM_BYTES_MAX));
        let kept = &decoded[start..];
        if captured.dropped == 0 && start == 0 {
            return Self { text: decoded.into_owned(), cut: false };
        }
        Self { text: format!("[earlier output was cut here]\n{kept}"), cut: true }
    }
}

/// Compresses output for a command (zlib).
pub fn compress(text: &str) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).expect("writing to memory does not fail");
    encoder.finish().expect("writing to memory does not fail")
}

/// Undoes [`compress`].
///
/// # Errors
/// The bytes are no compressed text, or one longer than [`TEXT_BYTES_MAX`].
pub fn decompress(bytes: &[u8]) -> io::Result<String> {
    let mut text = String::new();
    ZlibDecoder::new(bytes).take(TEXT_BYTES_MAX as u64 + 1).read_to_string(&mut text)?;
    if text.len() > TEXT_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "output longer than is ever stored"));
    }
    Ok(text)
}

/// How many bytes at the start of a cut stream belong to a character whose first byte is gone.
fn partial_char_len(bytes: &[u8]) -> usize {
    bytes.iter().take(3).take_while(|byte| *byte & 0b1100_0000 == 0b1000_0000).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: impl Into<Vec<u8>>, dropped: u64) -> OutputText {
        OutputText::new(&Captured { bytes: bytes.into(), dropped })
    }

    #[test]
    fn whole_output_is_left_alone() {
        assert_eq!(text("grüße\n", 0), OutputText { text: "grüße\n".into(), cut: false });
        assert_eq!(text(*b"a\xffb", 0).text, "a\u{fffd}b");
    }

    #[test]
    fn a_cut_is_marked_and_falls_between_characters() {
        // The first byte of the letter was dropped.
        let cut = text(&"üx".as_bytes()[1..], 1);
        assert_eq!(cut, OutputText { text: "[earlier output was cut here]\nx".into(), cut: true });
    }

    #[test]
    fn text_is_bounded_whatever_the_bytes() {
        let cut = text(vec![0xff; STREAM_BYTES_MAX], 0);
        assert!(cut.cut);
        assert!(cut.text.len() <= TEXT_BYTES_MAX, "{}", cut.text.len());
        assert!(cut.text.ends_with('\u{fffd}'));
    }

    #[test]
    fn compression_is_undone() {
        let text = "line\n".repeat(10_000);
        let bytes = compress(&text);
        assert!(bytes.len() < text.len() / 10);
        assert_eq!(decompress(&bytes).unwrap(), text);
        assert!(decompress(b"not zlib").is_err());
        assert!(decompress(&compress(&"x".repeat(TEXT_BYTES_MAX + 1))).is_err());
    }
}
