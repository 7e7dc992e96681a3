//! Places in the order in which requests are listed: the newest first, those of one moment by their ids.

use std::{cmp::Reverse, fmt, str::FromStr};

use crate::{
    ids::RequestId,
    rows::{Key, KeyReader, LoadError},
    time::Timestamp,
    workflow::newest_first,
};

/// A place in the order of lists, whether or not there is a request at it: what ends, or is trimmed, moves no place.
///
/// As a cursor it is shown as `NANOS-ID`: the time of creation in nanoseconds, and the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    created_at: Reverse<Timestamp>,
    id: RequestId,
}

/// How many bytes of an index key a place takes: its last ones.
const KEY_BYTES: usize = 8 + 12;

impl Place {
    /// Not behind any other.
    pub(super) const FIRST: Self = Self { created_at: Reverse(Timestamp(u64::MAX)), id: RequestId([0; 12]) };

    /// The place of a request.
    pub fn of(created_at: Timestamp, id: RequestId) -> Self {
        Self { created_at: Reverse(created_at), id }
    }

    /// The first place of those created before a moment; `None` if nothing can be.
    pub(super) fn before(moment: Timestamp) -> Option<Self> {
        let newest = moment.0.checked_sub(1)?;
        Some(Self::of(Timestamp(newest), RequestId([0; 12])))
    }

    /// The place right behind this one; `None` behind the last.
    pub(super) fn next(self) -> Option<Self> {
        let mut id = self.id;
        for byte in id.0.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                return Some(Self { id, ..self });
            }
        }
        Self::before(self.created_at.0)
    }

    /// The place right before this one; `None` before the first.
    pub(super) fn previous(self) -> Option<Self> {
        let mut id = self.id;
        for byte in id.0.iter_mut().rev() {
            *byte = byte.wrapping_sub(1);
            if *byte != 0xff {
                return Some(Self { id, ..self });
            }
        }
        let later = self.created_at.0.0.checked_add(1)?;
        Some(Self::of(Timestamp(later), RequestId([0xff; 12])))
    }

    /// How much later a request at this place was created than one at another, in nanoseconds; 0 if it was not.
    pub(super) fn nanos_after(self, other: Self) -> u64 {
        self.created_at.0.0.saturating_sub(other.created_at.0.0)
    }

    /// The request that is, was or would be there.
    pub fn id(self) -> RequestId {
        self.id
    }

    /// The key of live requests in the same order.
    pub(crate) fn as_pair(self) -> (Reverse<Timestamp>, RequestId) {
        (self.created_at, self.id)
    }

    /// Its key in the index that begins like this.
    pub(super) fn key(self, prefix: &Key) -> Key {
        newest_first(prefix.clone(), self.created_at.0).fixed(&self.id.0)
    }

    /// The place at the end of an index key.
    ///
    /// # Errors
    /// The key is too short.
    pub(super) fn of_key(key: &[u8]) -> Result<Self, LoadError> {
        let at = key.len().checked_sub(KEY_BYTES + 1).ok_or_else(|| LoadError::unknown_key(key))?;
        let mut parts = KeyReader::new(&key[at..]);
        let created_at = Timestamp(!parts.u64()?);
        Ok(Self::of(created_at, RequestId(parts.fixed()?)))
    }
}

/// A text that names no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place in a list is a whole number, a hyphen and a request id")]
pub struct InvalidPlace;

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let (nanos, id) = text.split_once('-').ok_or(InvalidPlace)?;
        if nanos.starts_with('+') {
            return Err(InvalidPlace);
        }
        let nanos = nanos.parse().map_err(|_| InvalidPlace)?;
        Ok(Self::of(Timestamp(nanos), id.parse().map_err(|_| InvalidPlace)?))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.created_at.0.0, self.id)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rows::Table;

    fn any_place() -> impl Strategy<Value = Place> {
        let nanos = prop_oneof![0..3_u64, any::<u64>()];
        let id = prop_oneof![Just([0; 12]), Just([0xff; 12]), any::<[u8; 12]>()];
        (nanos, id).prop_map(|(nanos, id)| Place::of(Timestamp(nanos), RequestId(id)))
    }

    proptest! {
        #[test]
        fn places_are_ordered_as_their_keys_and_read_as_they_are_shown(left in any_place(), right in any_place()) {
            let prefix = Key::new(Table::ByUser).text("u");
            prop_assert_eq!(left.key(&prefix).cmp(&right.key(&prefix)), left.cmp(&right));
            prop_assert_eq!(Place::of_key(&left.key(&prefix)), Ok(left));
            prop_assert_eq!(left.to_string().parse(), Ok(left));
        }

        #[test]
        fn nothing_is_between_a_place_and_the_next(place in any_place(), other in any_place()) {
            match place.next() {
                Some(next) => {
                    prop_assert!(place < next && !(place < other && other < next));
                    prop_assert_eq!(next.previous(), Some(place));
                }
                None => prop_assert!(other <= place),
            }
            match place.previous() {
                Some(previous) => prop_assert_eq!(previous.next(), Some(place)),
                None => prop_assert_eq!(place, Place::FIRST),
            }
        }
    }

    #[test]
    fn the_first_place_is_first_and_nothing_is_before_the_epoch() {
        assert_eq!(Place::before(Timestamp::ZERO), None);
        assert!(Place::FIRST <= Place::of(Timestamp(u64::MAX), RequestId([0; 12])));
        let before = Place::before(Timestamp(7)).unwrap();
        assert!(Place::of(Timestamp(7), RequestId([0xff; 12])) < before);
        assert!(before <= Place::of(Timestamp(6), RequestId([0; 12])));
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in [
            "",
            "7",
            "-",
            "7-",
            "-9m4e2mr0ui3e8a215n4g",
            "+7-9m4e2mr0ui3e8a215n4g",
            "7-9m4e2mr0ui3e8a215n4",
            "18446744073709551616-9m4e2mr0ui3e8a215n4g",
            "7-9m4e2mr0ui3e8a215n4g-",
            " 7-9m4e2mr0ui3e8a215n4g",
        ] {
            assert_eq!(text.parse::<Place>(), Err(InvalidPlace), "{text:?}");
        }
    }
}
