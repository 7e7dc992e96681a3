//! Which requests a list shows.

use std::time::Duration;

use super::{index_list::IndexList, place::Place, sorted::Sorted};
use crate::{
    rows::RowReader,
    time::Timestamp,
    workflow::{
        ArgTerm, Index, LENGTH_CLASSES, WantedHints,
        command::RequestArg,
        request::{LiveRequest, RequestState},
    },
};

/// Which requests a list shows; all of it must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this type.
    pub request_type: Option<String>,
    /// Of this user; upper and lower case are the same.
    pub user: Option<String>,
    /// In one of these states; empty is any.
    pub states: Vec<RequestState>,
    /// With these args, given as strings of exactly these values.
    pub args: Vec<(String, String)>,
    /// Not finished, or finished after this.
    pub since: Option<Timestamp>,
    /// Created before this.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// The first place it can show; `None` if it shows nothing.
    pub(super) fn first(&self) -> Option<Place> {
        self.until.map_or(Some(Place::FIRST), Place::before)
    }

    /// Whether it shows a live request at or behind its first place.
    pub(super) fn takes_live(&self, live: &LiveRequest) -> bool {
        let created = &live.created;
        self.request_type.as_deref().is_none_or(|wanted| wanted == &*created.request_type)
            && self.user.as_deref().is_none_or(|wanted| wanted.to_lowercase() == created.user.to_lowercase())
            && (self.states.is_empty() || self.states.contains(&live.state()))
            && self.takes_args(&created.args)
    }

    /// Whether it shows a request with these args.
    pub(super) fn takes_args(&self, args: &[RequestArg]) -> bool {
        self.args.iter().all(|(name, value)| {
            args.iter()
                .any(|arg| arg.given && *arg.name == **name && arg.value.to_text().as_ref() == Some(value))
        })
    }

    /// What the hints of finished requests are that it shows.
    pub(super) fn hints(&self) -> WantedHints {
        WantedHints::of(&self.states, self.request_type.as_deref(), self.user.as_deref())
    }

    /// The finished requests it shows from its first place on; `None` if it shows none.
    pub(super) fn finished<'a>(&self, indexes: Indexes<'a>) -> Option<Sorted<'a>> {
        let mut all = Vec::new();
        all.extend(self.request_type.as_deref().map(|wanted| indexes.of(Index::Type(wanted))));
        all.extend(self.user.as_deref().map(|wanted| indexes.of(Index::User(wanted))));
        let ends = RequestState::ALL.into_iter().filter(|state| state.is_end());
        let (wanted, unwanted): (Vec<_>, Vec<_>) = ends.partition(|state| self.states.contains(state));
        if !self.states.is_empty() && !unwanted.is_empty() {
            if wanted.is_empty() {
                return None;
            }
            let of_states = wanted.into_iter().map(|state| indexes.of(Index::State(state)));
            all.push(Sorted::Any(of_states.collect()));
        }
        all.extend(self.args.iter().map(|(name, value)| indexes.with_arg(name, value)));
        all.extend(self.since.map(|since| indexes.ended_after(since)));
        Some(if all.is_empty() { indexes.of(Index::Creation) } else { Sorted::All(all) })
    }
}

/// The indexes of finished requests, and what is wanted of each.
#[derive(Clone, Copy)]
pub(super) struct Indexes<'a> {
    pub(super) rows: &'a dyn RowReader,
    pub(super) hints: &'a WantedHints,
}

impl<'a> Indexes<'a> {
    fn list(self, index: Index<'_>) -> IndexList<'a> {
        IndexList::new(self.rows, index.prefix(), self.hints)
    }

    fn of(self, index: Index<'_>) -> Sorted<'a> {
        Sorted::Index(Box::new(self.list(index)))
    }

    /// What was given an arg: what its index has, and what was given more args than there are index rows for.
    fn with_arg(self, name: &str, value: &str) -> Sorted<'a> {
        let term = ArgTerm::of(name, value);
        let list = |term: &ArgTerm| self.list(Index::Arg(term));
        let indexed = match &term {
            ArgTerm::Text(..) => list(&term),
            ArgTerm::Hash(_) | ArgTerm::More => list(&term).unsure(),
        };
        let lists = [indexed, list(&ArgTerm::More).unsure()];
        Sorted::Any(lists.into_iter().map(|list| Sorted::Index(Box::new(list))).collect())
    }

    /// What ended after a moment: of each class of lengths, what was created less than its length before that.
    fn ended_after(self, moment: Timestamp) -> Sorted<'a> {
        let of_class = |class: u8| {
            let longest = Duration::from_secs(4_u64.pow(class.into()));
            let list = self.list(Index::Length(class));
            Sorted::Index(Box::new(list.ended_after(moment, moment.before(longest))))
        };
        Sorted::Any((0..LENGTH_CLASSES).map(of_class).collect())
    }
}
