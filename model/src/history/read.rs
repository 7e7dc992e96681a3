//! Reads public events from their rows.

use super::{EventId, EventRow, History, event_key, public::PublicEvent};
use crate::{
    rows::{self, Key, KeyReader, LoadError, RowReader, Table},
    time::Timestamp,
};

/// A public event that was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The number of its row; one more than that of the event before it.
    pub number: u64,
    /// Its name.
    pub id: EventId,
    /// Log time of its entry.
    pub at: Timestamp,
    /// What happened, as it was.
    pub event: PublicEvent,
}

/// The first `limit` public events from this number on.
///
/// # Errors
/// A row is of no known version.
pub fn events_from(rows: &dyn RowReader, from: u64, limit: usize) -> Result<Vec<Recorded>, LoadError> {
    let end = Key::new(Table::Event).end();
    rows.scan(&event_key(from), &end, limit).iter().map(|(key, row)| read(key, row)).collect()
}

/// The number of the first event behind this one, or the number of the next if there is none yet; `None` if some behind it may be
/// kept no more. The event itself need not have been there.
///
/// # Errors
/// A row is missing, or of no known version.
pub fn first_after(history: History, rows: &dyn RowReader, id: EventId) -> Result<Option<u64>, LoadError> {
    let (mut low, mut high) = (history.first(), history.next());
    while low < high {
        let middle = low + (high - low) / 2;
        if is_behind(event(rows, middle)?.id, id) { high = middle } else { low = middle + 1 }
    }
    let may_be_gone = low == history.first() && low > 0 && !mutant!("event-floor-ignored");
    Ok((!may_be_gone).then_some(low))
}

fn is_behind(event: EventId, id: EventId) -> bool {
    if mutant!("event-cursor-inclusive") {
        return event >= id;
    }
    if mutant!("event-ordinal-ignored") { event.index > id.index } else { event > id }
}

/// One event that is kept.
pub(super) fn event(rows: &dyn RowReader, number: u64) -> Result<Recorded, LoadError> {
    let key = event_key(number);
    let missing = || LoadError::Contradiction { reason: format!("event {number} has no row") };
    read(&key, &rows.get(&key).ok_or_else(missing)?)
}

fn read(key: &[u8], value: &[u8]) -> Result<Recorded, LoadError> {
    let mut parts = KeyReader::new(key);
    let number = parts.u64()?;
    parts.end()?;
    let (index, EventRow { ordinal, at, event }) = rows::decode_archive(key, value)?;
    Ok(Recorded { number, id: EventId { index, ordinal }, at, event: event.into() })
}
