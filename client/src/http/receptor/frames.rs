//! Server-sent events: the lines of a stream, put together to frames (WHATWG HTML, 9.2.6).

/// The longest frame, in bytes. An event shows an LRP before and after a change; each is at most 1 MiB of JSON, which may take six times that
/// escaped.
pub(super) const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What came is no frame: it goes on and on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event has more than {FRAME_BYTES_MAX} bytes")]
pub(super) struct FrameTooLong;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// By which the stream can be resumed behind it; empty when the server gave none.
    pub id: String,
    /// What kind of event it is.
    pub name: String,
    /// What happened, as JSON.
    pub data: String,
}

/// Takes bytes in pieces of any size, gives events, and remembers the last id. Comments, and frames without data, are no events, though
/// an id in one counts.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// The bytes of a line whose end has not come.
    line: Vec<u8>,
    /// How many bytes of the frame that comes in have come.
    bytes: usize,
    last_id: String,
    /// The id of the frame that comes in; it counts from the frame's end, or half a frame would be taken for seen.
    id: Option<String>,
    name: String,
    data: String,
}

impl Frames {
    /// Forgets a frame whose end will not come any more, and keeps the last id.
    pub(super) fn begin_again(&mut self) {
        *self = Self { last_id: std::mem::take(&mut self.last_id), ..Self::default() };
    }

    /// The id behind which a stream can be resumed; empty before the first.
    pub(super) fn last_id(&self) -> &str {
        &self.last_id
    }

    /// Resumes behind this id.
    pub(super) fn resume_behind(&mut self, id: String) {
        self.last_id = id;
    }

    /// Takes a piece of the stream, and appends the events that end in it.
    ///
    /// # Errors
    /// A frame has more than [`FRAME_BYTES_MAX`] bytes: it is forgotten, and nothing that follows can be understood.
    pub(super) fn take(
        &mut self,
        piece: &[u8],
        events: &mut impl Extend<Notice>,
    ) -> Result<(), FrameTooLong> {
        for byte in piece {
            self.bytes += 1;
            if self.bytes > FRAME_BYTES_MAX {
                self.begin_again();
                return Err(FrameTooLong);
            }
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let text = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned();
            events.extend(self.take_line(&text));
        }
        Ok(())
    }

    fn take_line(&mut self, line: &str) -> Option<Notice> {
        if line.is_empty() {
            self.bytes = 0;
            if let Some(id) = self.id.take() {
                self.last_id = id;
            }
            let (name, mut data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            // The last line feed belongs to no line.
            data.pop()?;
            return Some(Notice { id: self.last_id.clone(), name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.name),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            // A comment, or a field that concerns others.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(id: &str, name: &str, data: &str) -> Notice {
        Notice { id: id.to_owned(), name: name.to_owned(), data: data.to_owned() }
    }

    #[test]
    fn frames_come_out_whole_however_they_come_in() {
        let text = ": ping\n\nid: 7-0\nevent: a\ndata: {}\n\nid:7-1\r\nevent:b\r\ndata: 1\r\ndata: 2\r\n\r\nid: 8-0\n\ndata: x\n";
        for size in [1, 2, 7, text.len()] {
            let (mut frames, mut events) = (Frames::default(), Vec::new());
            for piece in text.as_bytes().chunks(size) {
                frames.take(piece, &mut events).unwrap();
            }
            assert_eq!(events, [notice("7-0", "a", "{}"), notice("7-1", "b", "1\n2")], "in pieces of {size}");
            assert_eq!(frames.last_id(), "8-0", "an id counts without data");
        }
    }

    #[test]
    fn half_a_frame_is_forgotten_with_its_connection() {
        let (mut frames, mut events) = (Frames::default(), Vec::new());
        frames.take(b"id: 1-0\nevent: a\ndata: {}\n\nid: 2-0\nevent: lost\ndata: hal", &mut events).unwrap();
        frames.begin_again();
        assert_eq!(frames.last_id(), "1-0");
        frames.take(b"id: 2-0\nevent: b\ndata: {}\n\n", &mut events).unwrap();
        assert_eq!(events, [notice("1-0", "a", "{}"), notice("2-0", "b", "{}")]);
    }
    #[test]
    fn a_frame_that_goes_on_and_on_is_forgotten_and_the_last_id_is_not() {
        let line = [b"data: ".as_slice(), &[b'x'; 1_000], b"\n"].concat();
        for endless in [&line[..], &line[..1_000], b": a comment\n"] {
            let (mut frames, mut events) = (Frames::default(), Vec::new());
            frames.take(b"id: 1-0\ndata: a\n\n", &mut events).unwrap();
            let mut taken = 0;
            while frames.take(endless, &mut events).is_ok() {
                taken += endless.len();
                assert!(taken <= FRAME_BYTES_MAX, "it is still taken after {taken} bytes");
            }
            assert_eq!(
                (events.len(), frames.last_id(), frames.line.len(), frames.data.len()),
                (1, "1-0", 0, 0)
            );
        }
    }

    #[test]
    fn frames_may_have_any_length_together() {
        let (mut frames, mut events) = (Frames::default(), Vec::new());
        let frame = [b"data: ".as_slice(), &vec![b'x'; FRAME_BYTES_MAX / 2], b"\n\n"].concat();
        for _ in 0..3 {
            frames.take(&frame, &mut events).unwrap();
        }
        assert_eq!(events.len(), 3);
    }
}
