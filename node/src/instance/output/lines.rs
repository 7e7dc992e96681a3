//! Cuts what a process writes into lines.

/// The most bytes of one line; a longer one is cut into several.
pub const LINE_BYTES_MAX: usize = 4096;

/// One stream on its way to lines. They end with `\n` or `\r`; empty ones are dropped, as upstream drops them.
#[derive(Debug, Default)]
pub struct Lines {
    /// Without a line end, at most [`LINE_BYTES_MAX`].
    partial: Vec<u8>,
}

impl Lines {
    /// Takes in what was written, and hands each complete line to `take`, without its end.
    pub fn push(&mut self, written: &[u8], mut take: impl FnMut(&str)) {
        let mut rest = written;
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.extend(&rest[..end], &mut take);
            self.finish(&mut take);
            rest = &rest[end + 1..];
        }
        self.extend(rest, &mut take);
    }

    /// Hands over a last line that has no end.
    pub fn finish(&mut self, mut take: impl FnMut(&str)) {
        if !self.partial.is_empty() {
            emit(&self.partial, &mut take);
            self.partial.clear();
        }
    }

    fn extend(&mut self, bytes: &[u8], take: &mut impl FnMut(&str)) {
        self.partial.extend_from_slice(bytes);
        let mut start = 0;
        while self.partial.len() - start > LINE_BYTES_MAX {
            let cut = start + boundary(&self.partial[start..], LINE_BYTES_MAX);
            emit(&self.partial[start..cut], take);
            start = cut;
        }
        self.partial.drain(..start);
    }
}

/// The last place, at most `most`, at which no character of a longer text is cut in two. `most` itself where there is
/// none: these bytes are no text.
fn boundary(bytes: &[u8], most: usize) -> usize {
    let is_continuation = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    (most - 3..=most).rev().find(|at| !is_continuation(bytes[*at])).unwrap_or(most)
}

/// Hands over a line as text. Bytes that are none become U+FFFD, which is longer: the line may have to be cut again.
fn emit(bytes: &[u8], take: &mut impl FnMut(&str)) {
    let text = String::from_utf8_lossy(bytes);
    let mut rest = &*text;
    while rest.len() > LINE_BYTES_MAX {
        let (line, after) = rest.split_at(rest.floor_char_boundary(LINE_BYTES_MAX));
        take(line);
        rest = after;
    }
    take(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(parts: &[&[u8]]) -> Vec<String> {
        let mut found = Vec::new();
        let mut lines = Lines::default();
        for part in parts {
            lines.push(part, |line| found.push(line.to_owned()));
        }
        lines.finish(|line| found.push(line.to_owned()));
        found
    }

    #[test]
    fn lines_end_with_line_feeds_and_carriage_returns() {
        assert_eq!(lines_of(&[b"one\ntwo\rthree\r\n\n\nfo", b"ur"]), ["one", "two", "three", "four"]);
        assert_eq!(lines_of(&[b"\n\r\n"]), Vec::<String>::new());
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let text = format!("{}{}", "a".repeat(4_094), "日本".repeat(2));
        let lines = lines_of(&[text.as_bytes(), b"\nnext"]);
        assert_eq!(lines.len(), 3);
        assert_eq!((lines[0].len(), &*lines[1], &*lines[2]), (4_094, "日本日本", "next"));

        let exact = "b".repeat(LINE_BYTES_MAX);
        assert_eq!(lines_of(&[exact.as_bytes(), b"\n"]), [exact]);
    }

    #[test]
    fn what_is_split_between_two_reads_is_one_character() {
        let text = "é".as_bytes();
        assert_eq!(lines_of(&[&text[..1], &text[1..]]), ["é"]);
    }

    #[test]
    fn no_line_is_too_long_whatever_the_bytes() {
        for byte in [0x80, 0xff, 0xe2, b'x'] {
            let lines = lines_of(&[&vec![byte; 20_000]]);
            assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX), "{byte}");
            assert!(lines.iter().map(String::len).sum::<usize>() >= 20_000, "{byte}");
        }
    }
}
