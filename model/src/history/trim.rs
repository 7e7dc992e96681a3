//! How public events leave: the leader looks how old they are, and a command says up to which they go.

use super::read::event;
use crate::{
    event::Event,
    rejection::Rejection,
    rows::{LoadError, RowReader},
    state::State,
    time::Timestamp,
};

/// How many events one command removes.
pub const TRIMMED_MAX: u64 = 4_096;

/// The number below which events have been kept for as long as the settings say, or are more than they say, but no more than one
/// command removes; `None` if there are none.
///
/// # Errors
/// A row is missing, or of no known version.
pub fn trim_below(state: &State, rows: &dyn RowReader, at: Timestamp) -> Result<Option<u64>, LoadError> {
    let (first, next) = (state.history.first(), state.history.next());
    let too_many_below = next.saturating_sub(state.settings.events_max()).max(first);
    // Events are in the order of their times.
    let (mut low, mut high) = (too_many_below, next.min(first + TRIMMED_MAX));
    while low < high {
        let middle = low + (high - low) / 2;
        let is_old = at.since(event(rows, middle)?.at) >= state.settings.event_age_max();
        if is_old { low = middle + 1 } else { high = middle }
    }
    let below = low.min(first + TRIMMED_MAX);
    Ok((below > first).then_some(below))
}

/// Decides on `TrimEvents`; what is gone already is left out.
pub(crate) fn trim(state: &State, below: u64) -> Result<Vec<Event>, Rejection> {
    let (first, next) = (state.history.first(), state.history.next());
    if below > next.min(first + TRIMMED_MAX) {
        let what = "events that are kept and that one command removes".to_owned();
        return Err(Rejection::TooMany { what, count_max: TRIMMED_MAX.min(next - first) });
    }
    Ok(if below > first { vec![Event::HistoryTrimmed { below }] } else { vec![] })
}
