//! One line of output in a file: `NANOSECONDS STREAM SOURCE TEXT`, ended by a line feed.
//!
//! The time is that of the cell's wall clock, the stream is `out` or `err`, and in the source blanks, control characters
//! and `%` are written as `%XX`. So the files can be read without this program.

use std::fmt::Write;

use capstan_model::time::Timestamp;

use crate::instance::driver::Stream;

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was written, by the cell's wall clock.
    pub at: Timestamp,
    /// Where to.
    pub stream: Stream,
    /// By which of the sources of the instance.
    pub source: String,
    /// The line, without its end.
    pub text: String,
}

impl Record {
    /// Appends the line of a file, its end included.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let stream = match self.stream {
            Stream::Stdout => "out",
            Stream::Stderr => "err",
        };
        let source = escape(&self.source);
        let line = format!("{} {stream} {source} {}\n", self.at.0, self.text);
        out.extend_from_slice(line.as_bytes());
    }

    /// Reads the line of a file, without its end; `None` when it is none, which only a damaged file has.
    pub fn decode(line: &str) -> Option<Self> {
        let mut fields = line.splitn(4, ' ');
        let at = Timestamp(fields.next()?.parse().ok()?);
        let stream = match fields.next()? {
            "out" => Stream::Stdout,
            "err" => Stream::Stderr,
            _ => return None,
        };
        Some(Self { at, stream, source: unescape(fields.next()?)?, text: fields.next()?.to_owned() })
    }
}

fn escape(source: &str) -> String {
    let mut escaped = String::new();
    for character in source.chars() {
        if character.is_whitespace() || character.is_control() || character == '%' {
            for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                write!(escaped, "%{byte:02X}").expect("texts can be written to");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

fn unescape(escaped: &str) -> Option<String> {
    let mut parts = escaped.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_the_file() {
        for source in ["APP", "", "my app/%41\n", "naïve\u{2028}"] {
            for text in ["", "hello  world ", "%20", "日本"] {
                let record = Record {
                    at: Timestamp(1_700_000_000_123_456_789),
                    stream: Stream::Stderr,
                    source: source.to_owned(),
                    text: text.to_owned(),
                };
                let mut line = Vec::new();
                record.encode(&mut line);
                let line = String::from_utf8(line).unwrap();
                assert_eq!(line.matches('\n').count(), 1, "{line:?}");
                assert_eq!(Record::decode(line.strip_suffix('\n').unwrap()), Some(record));
            }
        }
    }

    #[test]
    fn damaged_lines_are_none() {
        for line in ["", "x out A b", "1 side A b", "1 out", "1 out %4", "1 out %ZZ b", "1 out A"] {
            assert_eq!(Record::decode(line), None, "{line:?}");
        }
    }
}
