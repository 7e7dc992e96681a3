//! The index rows of a finished request: by which of them finds read, and a trim removes.
//!
//! Every index but the order of ends has the same last two parts, the time of creation upside down and the id, so that each is a
//! list in the order in which requests are listed, and several are merged without reading anything else. Every such row
//! begins with the request's [`Hint`]; in the oldest there is nothing at all, and what they name may be of any.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3;

use super::{Hint, command::RequestArg, request::RequestState};
use crate::{
    ids::RequestId,
    rows::{Key, RowSink, Table},
    time::Timestamp,
};

/// How many of a request's args have an index row each; those of a request with more are read from its own row.
pub const ARGS_INDEXED_MAX: usize = 32;
/// The most bytes of an arg's name and value together that stand in its index row as they are; longer ones are hashed.
pub const ARG_TEXT_BYTES_MAX: usize = 64;

/// What the index rows of a finished request are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Indexed {
    /// The request.
    pub id: RequestId,
    /// The name of its spec.
    pub request_type: Arc<str>,
    /// Who asked for it.
    pub user: Arc<str>,
    /// How it ended.
    pub state: RequestState,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// By which args it is found.
    pub args: BTreeSet<ArgTerm>,
}

/// An arg by which requests are found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ArgTerm {
    /// Name and value as they are.
    Text(Arc<str>, Arc<str>),
    /// The hash of a name and a value that are too long for a key.
    Hash(u128),
    /// Stands for all args of a request behind the first [`ARGS_INDEXED_MAX`].
    More,
}

/// An order in which finished requests are listed: newest first among those that share something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Index<'a> {
    /// All of them.
    Creation,
    /// Those of a type.
    Type(&'a str),
    /// Those of a user; upper and lower case are the same.
    User(&'a str),
    /// Those that ended alike.
    State(RequestState),
    /// Those that took about as long, see [`length_class`]; the rows say when they ended, too.
    Length(u8),
    /// Those that were given an arg.
    Arg(&'a ArgTerm),
}

impl Index<'_> {
    /// The start of its keys.
    pub(crate) fn prefix(self) -> Key {
        match self {
            Self::Creation => Key::new(Table::ByCreation),
            Self::Type(request_type) => Key::new(Table::ByType).text(request_type),
            Self::User(user) => Key::new(Table::ByUser).text(&user.to_lowercase()),
            Self::State(state) => Key::new(Table::ByState).u8(state.number()),
            Self::Length(class) => Key::new(Table::ByLength).u8(class),
            Self::Arg(ArgTerm::Text(name, value)) => Key::new(Table::ByArg).u8(0).text(name).text(value),
            Self::Arg(ArgTerm::Hash(hash)) => Key::new(Table::ByArg).u8(1).fixed(&hash.to_be_bytes()),
            Self::Arg(ArgTerm::More) => Key::new(Table::ByArg).u8(2),
        }
    }
}

impl ArgTerm {
    /// The term of one arg.
    pub(crate) fn of(name: &str, value: &str) -> Self {
        if name.len() + value.len() <= ARG_TEXT_BYTES_MAX {
            Self::Text(name.into(), value.into())
        } else {
            Self::Hash(xxh3::xxh3_128_with_seed(value.as_bytes(), xxh3::xxh3_64(name.as_bytes())))
        }
    }

    /// The terms of a request's args: of each that was given as a string.
    pub(crate) fn all_of(args: &[RequestArg]) -> BTreeSet<Self> {
        let given = args.iter().filter(|arg| arg.given);
        let mut texts = given.filter_map(|arg| arg.value.to_text().map(|value| (&arg.name, value)));
        let mut terms: BTreeSet<Self> =
            texts.by_ref().take(ARGS_INDEXED_MAX).map(|(name, value)| Self::of(name, &value)).collect();
        if texts.next().is_some() {
            terms.insert(Self::More);
        }
        terms
    }
}

impl Indexed {
    /// How many index rows it has.
    pub(crate) fn rows(&self) -> usize {
        5 + self.args.len()
    }

    /// Writes its index rows.
    pub(super) fn write(&self, sink: &mut RowSink) {
        let hint = Hint::of(self.state, &self.request_type, &self.user);
        for index in self.indexes() {
            if matches!(index, Index::State(_)) && mutant!("archive-index-missed") {
                continue;
            }
            let key = self.key(index);
            match index {
                Index::Length(_) => sink.archive(&key, &(hint, self.finished_at)),
                _ => sink.archive(&key, &hint),
            }
        }
    }

    /// Removes its index rows.
    pub(crate) fn remove(&self, sink: &mut RowSink) {
        for index in self.indexes() {
            if matches!(index, Index::User(_)) && mutant!("trimmed-index-left") {
                continue;
            }
            sink.remove_archived(&self.key(index));
        }
    }

    fn key(&self, index: Index<'_>) -> Key {
        newest_first(index.prefix(), self.created_at).fixed(&self.id.0)
    }

    fn indexes(&self) -> impl Iterator<Item = Index<'_>> {
        let fixed = [
            Index::Creation,
            Index::Type(&self.request_type),
            Index::User(&self.user),
            Index::State(self.state),
            Index::Length(length_class(self.created_at, self.finished_at)),
        ];
        fixed.into_iter().chain(self.args.iter().map(Index::Arg))
    }
}

/// How many classes of lengths there are.
pub(crate) const LENGTH_CLASSES: u8 = 19;

/// How long a request took, in powers of four: those of class `n` took less than 4ⁿ seconds.
///
/// Who wants what ended after a moment needs to look, in each class, no further back than its length before that moment, and sees at most
/// a few times as many rows as needed, whether requests take milliseconds or months.
pub(crate) fn length_class(created_at: Timestamp, finished_at: Timestamp) -> u8 {
    let secs = finished_at.since(created_at).as_secs();
    let bits = u64::BITS - secs.leading_zeros();
    u8::try_from(bits.div_ceil(2)).expect("a number of bits is small")
}

/// Appends a time to an index key so that later times come first.
pub(crate) fn newest_first(prefix: Key, at: Timestamp) -> Key {
    prefix.u64(!at.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_request_of_a_class_took_less_than_its_power_of_four() {
        let start = Timestamp(5);
        for (secs, class) in [(0, 0), (1, 1), (3, 1), (4, 2), (15, 2), (16, 3), (86_400, 9)] {
            let took = Duration::from_secs(secs);
            assert_eq!(length_class(start, start.after(took)), class, "{secs} s");
            assert!(secs < 4_u64.pow(class.into()));
        }
        assert_eq!(length_class(start, Timestamp::ZERO), 0, "an end before the start is no length");
        let longest = length_class(Timestamp::ZERO, Timestamp(u64::MAX));
        assert_eq!(longest + 1, LENGTH_CLASSES);
    }

    #[test]
    fn a_long_arg_is_hashed_with_its_name() {
        let fits = "v".repeat(ARG_TEXT_BYTES_MAX - 1);
        assert!(matches!(ArgTerm::of("n", &fits), ArgTerm::Text(..)));
        let long = "v".repeat(ARG_TEXT_BYTES_MAX);
        let (one, other) = (ArgTerm::of("n", &long), ArgTerm::of("m", &long));
        assert!(matches!((&one, &other), (ArgTerm::Hash(_), ArgTerm::Hash(_))));
        assert_ne!(one, other);
    }
}
