//! What has happened, for those who were not there: public events as rows, in one order for the whole cluster.
//!
//! An event's id is the log index of its entry and its number in it, so that every node gives the same event the same id, and a
//! reader goes on at any node where it left off at another. The rows are numbered without gaps, from the first event of the
//! cluster on: so State knows which there are from two numbers, and removes the oldest without having to be told what
//! they are.

mod public;
mod read;
mod stored;
mod trim;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use self::stored::StoredEvent;
pub(crate) use self::trim::trim;
pub use self::{
    public::{
        JobNews, JobTry, NodeNews, NodeStep, PublicEvent, RequestNews, TaskHead, TaskNews, TaskState,
        VariableNews,
    },
    read::{Recorded, events_from, first_after},
    trim::{TRIMMED_MAX, trim_below},
};
use crate::{
    event::Event,
    rows::{Key, RowSink, Table},
    state::State,
    time::Timestamp,
};

/// Names a public event: shown as `INDEX-NUMBER`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// The log index of its entry.
    pub index: u64,
    /// Counts the public events of the entry, from 0.
    pub ordinal: u32,
}

/// Which rows of public events there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    first: u64,
    next: u64,
}

/// The row of a public event; the log index is beside it.
#[derive(Serialize, Deserialize)]
struct EventRow {
    ordinal: u32,
    at: Timestamp,
    event: StoredEvent,
}

impl History {
    /// The number of the oldest row that is kept; zero if none has left yet.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next row.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Writes the row of a public event.
    fn record(&mut self, at: Timestamp, event: PublicEvent, sink: &mut RowSink) {
        let (ordinal, event) = (sink.next_ordinal(), event.into());
        sink.archive(&event_key(self.next), &EventRow { ordinal, at, event });
        self.next += 1;
    }

    pub(crate) fn evolve_trimmed(&mut self, below: u64, sink: &mut RowSink) {
        let removed = if mutant!("event-above-floor-removed") { below + 1 } else { below };
        (self.first..removed).for_each(|number| sink.remove_archived(&event_key(number)));
        self.first = below;
    }

    /// Writes the row as it is now over this one; before the first event there is none.
    pub(crate) fn replace_with(&self, now: &Self, sink: &mut RowSink) {
        let row = |history: &Self| (*history != Self::default()).then_some(*history);
        sink.replace(&Key::new(Table::History), row(self).as_ref(), row(now).as_ref());
    }
}

/// Writes the row of an event that has changed State, if it is a public one.
pub(crate) fn record(state: &mut State, event: &Event, sink: &mut RowSink) {
    if let Some(told) = PublicEvent::of(event, state) {
        state.history.record(state.log_time, told, sink);
    } else if mutant!("event-ordinals-count-private") {
        sink.next_ordinal();
    }
}

fn event_key(number: u64) -> Key {
    Key::new(Table::Event).u64(number)
}

/// A text that names no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event id is two whole numbers with a hyphen between them")]
pub struct InvalidEventId;

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let (index, ordinal) = text.split_once('-').ok_or(InvalidEventId)?;
        let index = index.parse().map_err(|_| InvalidEventId)?;
        Ok(Self { index, ordinal: ordinal.parse().map_err(|_| InvalidEventId)? })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.index, self.ordinal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_is_read_as_it_is_shown() {
        let id = EventId { index: u64::MAX, ordinal: 7 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "7", "7-", "-7", "7-7-7", "a-b", "7-4294967296", " 7-7"] {
            assert_eq!(text.parse::<EventId>(), Err(InvalidEventId), "{text:?}");
        }
    }
}
