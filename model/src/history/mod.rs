//! What has happened, for those who were not there: public events as rows, in one order for the whole cluster.
//!
//! An event's id is the log index of its entry and its number in it, so that every node gives the same event the same id, and a
//! reader goes on at any node where it left off at another. Rows are kept as long as the settings say and leave by a command that
//! names them; what is below [`History::floor`] is gone.

mod stored;
mod trim;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use self::stored::StoredEvent;
pub(crate) use self::trim::trim;
pub use self::trim::{EntryEvents, TRIMMED_MAX, to_trim};
use crate::{
    event::Event,
    rows::{self, Key, KeyReader, LoadError, RowReader, RowSink, Table},
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

/// A public event that was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its name.
    pub id: EventId,
    /// Log time of its entry.
    pub at: Timestamp,
    /// What happened, as it was.
    pub event: Event,
}

/// What State knows of the rows of public events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    floor: u64,
    count: u64,
}

/// The row of a public event.
#[derive(Serialize, Deserialize)]
struct EventRow {
    at: Timestamp,
    event: StoredEvent,
}

impl History {
    /// Events of entries below this index are kept no more.
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// How many events are kept.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Writes the row of an event, if it is a public one.
    pub(crate) fn record(&mut self, at: Timestamp, event: &Event, sink: &mut RowSink) {
        if let Some(event) = StoredEvent::of(event) {
            let id = EventId { index: sink.index(), ordinal: sink.next_ordinal() };
            sink.archive(&event_key(id), &EventRow { at, event });
            self.count += 1;
        }
    }

    pub(crate) fn evolve_trimmed(&mut self, entries: &[EntryEvents], sink: &mut RowSink) {
        for EntryEvents { index, count } in entries {
            for ordinal in 0..*count {
                sink.remove_archived(&event_key(EventId { index: *index, ordinal }));
            }
            self.count -= u64::from(*count);
            self.floor = index + 1;
        }
    }

    /// Writes the row as it is now over this one; before the first event there is none.
    pub(crate) fn replace_with(&self, now: &Self, sink: &mut RowSink) {
        let row = |history: &Self| (*history != Self::default()).then_some(*history);
        sink.replace(&Key::new(Table::History), row(self).as_ref(), row(now).as_ref());
    }
}

/// The first `limit` public events behind this one, in order; from the first that is kept, without one.
///
/// # Errors
/// A row is of no known version.
pub fn events_after(
    rows: &dyn RowReader,
    after: Option<EventId>,
    limit: usize,
) -> Result<Vec<Recorded>, LoadError> {
    let from = after.map_or(Key::new(Table::Event), |id| event_key(id).u8(0));
    rows.scan(&from, &Key::new(Table::Event).end(), limit).iter().map(|(key, row)| read(key, row)).collect()
}

fn read(key: &[u8], value: &[u8]) -> Result<Recorded, LoadError> {
    let mut parts = KeyReader::new(key);
    let id = EventId { index: parts.u64()?, ordinal: parts.u32()? };
    parts.end()?;
    let (_, EventRow { at, event }) = rows::decode_archive(key, value)?;
    Ok(Recorded { id, at, event: event.into() })
}

fn event_key(id: EventId) -> Key {
    Key::new(Table::Event).u64(id.index).u32(id.ordinal)
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
