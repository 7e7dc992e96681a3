//! What an auction came to, checked again: the world may have moved on since it looked.

use std::sync::Arc;

use super::{
    actual::{Actual, ActualKey, Phase, Presence},
    command::{PLACED_MAX, Place},
    draft::Draft,
    handle::Decision,
    tag::ModificationTag,
};
use crate::{
    rejection::{Rejection, check_size},
    state::State,
    time::Timestamp,
};

/// The longest error of a placement, in bytes; those of an auction have some fifty.
const ERROR_BYTES_MAX: usize = 1_024;

/// Gives cells what they won, and notes what found none. What is not as the auction saw it, or does not fit any more, is left
/// out: the next auction sees it.
pub(super) fn place(state: &State, at: Timestamp, place: &Place) -> Decision {
    if place.placements.len() + place.failures.len() > PLACED_MAX {
        let what = "placements and failures in one command".to_owned();
        return Err(Rejection::TooMany { what, count_max: PLACED_MAX as u64 });
    }
    for failure in &place.failures {
        check_size("the error of a placement", &failure.error, ERROR_BYTES_MAX)?;
    }
    let mut draft = Draft::new(state, at);
    for placement in &place.placements {
        let Some(actual) = seen(&draft, &placement.key, placement.tag) else {
            sometimes!("a placement comes too late for its index");
            continue;
        };
        let life = placement.instance.cell;
        let available = draft.lrps.cell_of(life).filter(|cell| cell.is_available());
        let fits = available.is_some_and(|cell| {
            let mut used = draft.lrps.used(life) + state.tasks.used(life);
            used.take(actual.needs);
            used.is_within(cell.capacity) || mutant!("place-not-checked")
        });
        sometimes!("a placement finds its cell full or gone", !fits);
        if fits {
            draft.claim(&placement.key, placement.instance);
        }
    }
    for failure in &place.failures {
        if seen(&draft, &failure.key, failure.tag).is_some() && !failure.error.is_empty() {
            sometimes!("an index finds no cell");
            draft.change(&failure.key, |actual| {
                actual.phase = Phase::Unclaimed { placement_error: failure.error.clone() };
                actual.since = at;
            });
        }
    }
    Ok(draft.into_events())
}

/// The record of an index that waits, if it is as the auction saw it.
fn seen(draft: &Draft, key: &ActualKey, tag: ModificationTag) -> Option<Arc<Actual>> {
    let actual = draft.actual(key, Presence::Ordinary)?;
    let is_same = actual.tag == tag || mutant!("stale-placement-accepted");
    (matches!(actual.phase, Phase::Unclaimed { .. }) && is_same).then_some(actual)
}
