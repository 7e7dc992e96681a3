//! Takes streams apart: the frames of server-sent events as the API's own documents describe them, and nothing else.

use capstan_model::history::EventId;
use serde_json::Value;

/// Something that a stream says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Frame {
    /// An event.
    Event {
        /// Its id.
        id: EventId,
        /// Its name.
        name: String,
        /// Its data.
        data: Value,
    },
    /// Nothing has happened for a while.
    Heartbeat,
}

/// The bytes of a stream whose frame has not ended.
#[derive(Debug, Default)]
pub(super) struct Frames {
    rest: Vec<u8>,
}

impl Frames {
    /// Takes a piece of the stream; the result is the frames that end in it.
    ///
    /// # Errors
    /// A frame is none that is described; says which.
    pub(super) fn take(&mut self, piece: &[u8]) -> Result<Vec<Frame>, String> {
        self.rest.extend_from_slice(piece);
        let mut frames = Vec::new();
        while let Some(end) = self.rest.windows(2).position(|pair| pair == b"\n\n") {
            let frame: Vec<u8> = self.rest.drain(..end + 2).collect();
            frames.push(read(&frame[..end]).ok_or_else(|| format!("{:?}", String::from_utf8_lossy(&frame)))?);
        }
        Ok(frames)
    }
}

fn read(frame: &[u8]) -> Option<Frame> {
    let text = std::str::from_utf8(frame).ok()?;
    if text == ": ping" {
        return Some(Frame::Heartbeat);
    }
    let mut lines = text.split('\n');
    let id = lines.next()?.strip_prefix("id: ")?.parse().ok()?;
    let name = lines.next()?.strip_prefix("event: ")?.to_owned();
    let data = serde_json::from_str(lines.next()?.strip_prefix("data: ")?).ok()?;
    lines.next().is_none().then_some(Frame::Event { id, name, data })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn frames_come_out_whole_however_they_come_in() {
        let text = b": ping\n\nid: 7-1\nevent: a\ndata: {\"b\":1}\n\n: ping\n\nid: 7-2\nev";
        let event = Frame::Event {
            id: EventId { index: 7, ordinal: 1 },
            name: "a".to_owned(),
            data: json!({"b": 1}),
        };
        for size in [1, 3, text.len()] {
            let mut frames = Frames::default();
            let seen: Vec<Frame> =
                text.chunks(size).flat_map(|piece| frames.take(piece).expect("all are frames")).collect();
            assert_eq!(seen, [Frame::Heartbeat, event.clone(), Frame::Heartbeat]);
        }
    }

    #[test]
    fn what_is_not_described_is_refused() {
        for text in
            ["id: 7\nevent: a\ndata: 1\n\n", "event: a\ndata: 1\n\n", "id: 7-0\nevent: a\ndata: 1\nx\n\n"]
        {
            assert!(Frames::default().take(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
