//! Lists of finished requests made of index rows: one index, several as alternatives, or what several have in common.
//!
//! All are in the order of lists, and are read from where they are asked. What several have in common is found by leaping: each
//! list is asked for its first request at or behind the farthest that any other has reached. A list that has read a page of rows without
//! meeting one that the filters leave says how far it has got, which is as good to leap to. So the list that has the fewest rows in the part
//! that is looked at leads, without anybody having counted, and of the others hardly more is read than what it names.

use super::{index_list::IndexList, place::Place};
use crate::rows::LoadError;

/// What a list says when it is asked for its first request at or behind a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sought {
    /// It is this one.
    Named(Named),
    /// None is before this place, which is behind the one that was asked; it takes another call to say more.
    NotBefore(Place),
    /// There is none.
    Nothing,
}

/// A request that a list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) place: Place,
    /// Whether it belongs to the list for sure, or its own row has to be asked.
    pub(super) is_sure: bool,
}

/// A list of finished requests in the order of lists.
pub(super) enum Sorted<'a> {
    /// What one index has.
    Index(Box<IndexList<'a>>),
    /// What any of these has.
    Any(Vec<Self>),
    /// What all of these have; at least one.
    All(Vec<Self>),
}

impl Sorted<'_> {
    /// The first request at or behind a place, as far as one page of rows of each index tells. Places only go forward from call to call.
    pub(super) fn seek(&mut self, from: Place) -> Result<Sought, LoadError> {
        match self {
            Self::Index(list) => list.seek(from),
            Self::Any(lists) => seek_any(lists, from),
            Self::All(lists) => seek_all(lists, from),
        }
    }
}

fn seek_any(lists: &mut [Sorted<'_>], from: Place) -> Result<Sought, LoadError> {
    let (mut first, mut not_before): (Option<Named>, Option<Place>) = (None, None);
    for list in lists {
        match list.seek(from)? {
            Sought::Nothing => {}
            Sought::NotBefore(place) => {
                not_before = Some(not_before.map_or(place, |other| other.min(place)));
            }
            Sought::Named(named) => match &mut first {
                Some(first) if first.place < named.place => {}
                Some(first) if first.place == named.place => first.is_sure |= named.is_sure,
                _ => first = Some(named),
            },
        }
    }
    Ok(match (first, not_before) {
        (Some(named), Some(place)) if place <= named.place => Sought::NotBefore(place),
        (Some(named), _) => Sought::Named(named),
        (None, Some(place)) => Sought::NotBefore(place),
        (None, None) => Sought::Nothing,
    })
}

/// Asks each list once, for what is at or behind what those before it have reached.
fn seek_all(lists: &mut [Sorted<'_>], from: Place) -> Result<Sought, LoadError> {
    let mut common = Named { place: from, is_sure: true };
    // How many lists in a row have named it.
    let mut agreed = 0;
    for list in &mut *lists {
        match list.seek(common.place)? {
            Sought::Nothing => return Ok(Sought::Nothing),
            Sought::NotBefore(place) => (common, agreed) = (Named { place, is_sure: true }, 0),
            Sought::Named(named) if named.place > common.place => (common, agreed) = (named, 1),
            Sought::Named(named) => {
                common.is_sure &= named.is_sure;
                agreed += 1;
            }
        }
    }
    let all_agree = agreed == lists.len();
    Ok(if all_agree { Sought::Named(common) } else { Sought::NotBefore(common.place) })
}
