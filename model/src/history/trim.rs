//! How public events leave: the leader reads which have been kept for long enough, and a command names them.

use serde::{Deserialize, Serialize};

use super::{EventId, event_key, read};
use crate::{
    event::Event,
    rejection::Rejection,
    rows::{Key, LoadError, RowReader, Table},
    state::State,
    time::Timestamp,
};

/// How many entries' events one command removes.
pub const TRIMMED_MAX: usize = 1_024;

/// The public events of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryEvents {
    /// The entry.
    pub index: u64,
    /// How many it has.
    pub count: u32,
}

/// The oldest entries whose events have been kept for as long as the settings say, or are more than they say: as many as one
/// command removes.
///
/// # Errors
/// A row is of no known version.
pub fn to_trim(state: &State, rows: &dyn RowReader, at: Timestamp) -> Result<Vec<EntryEvents>, LoadError> {
    let mut too_many = state.history.count().saturating_sub(state.settings.events_max());
    let mut found = vec![];
    let mut from = Key::new(Table::Event).u64(state.history.floor());
    while found.len() < TRIMMED_MAX {
        let Some((key, row)) = rows.scan(&from, &Key::new(Table::Event).end(), 1).pop() else { break };
        let first = read(&key, &row)?;
        if too_many == 0 && at.since(first.at) < state.settings.event_age_max() {
            break;
        }
        let index = first.id.index;
        from = event_key(EventId { index, ordinal: u32::MAX }).end();
        let of_entry = rows.scan(&Key::new(Table::Event).u64(index), &from, usize::MAX);
        let count = u32::try_from(of_entry.len()).expect("events of an entry are counted by a u32");
        too_many = too_many.saturating_sub(count.into());
        found.push(EntryEvents { index, count });
    }
    Ok(found)
}

/// Decides on `TrimEvents`; what is gone already is left out.
pub(crate) fn trim(state: &State, entries: &[EntryEvents]) -> Result<Vec<Event>, Rejection> {
    if entries.len() > TRIMMED_MAX {
        let what = "entries whose events one command removes".to_owned();
        return Err(Rejection::TooMany { what, count_max: TRIMMED_MAX as u64 });
    }
    let kept: Vec<EntryEvents> =
        entries.iter().copied().filter(|entry| entry.index >= state.history.floor()).collect();
    Ok(if kept.is_empty() { vec![] } else { vec![Event::HistoryTrimmed(kept)] })
}
