//! One event as it is sent.

use capstan_model::history::EventId;

/// The name of an event and its data, JSON on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) name: &'static str,
    pub(crate) data: Vec<u8>,
}

/// A comment, which readers pass over: it shows both ends that the other is there.
pub(super) const HEARTBEAT: &[u8] = b": ping\n\n";

impl Frame {
    /// Appends the frame of this event.
    pub(super) fn write(&self, id: EventId, out: &mut Vec<u8>) {
        debug_assert!(!self.data.contains(&b'\n'), "a line end would end the data");
        out.extend_from_slice(format!("id: {id}\nevent: {}\ndata: ", self.name).as_bytes());
        out.extend_from_slice(&self.data);
        out.extend_from_slice(b"\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_id_its_name_and_its_data() {
        let mut out = Vec::new();
        Frame { name: "variable_set", data: b"{}".to_vec() }
            .write(EventId { index: 12, ordinal: 3 }, &mut out);
        assert_eq!(out, b"id: 12-3\nevent: variable_set\ndata: {}\n\n");
    }
}
