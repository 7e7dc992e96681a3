//! Which requests a list shows.

use std::time::Duration;

use super::{
    place::Place,
    sorted::{IndexList, Sorted},
};
use crate::{
    rows::RowReader,
    time::Timestamp,
    workflow::{
        ArgTerm, Index, LENGTH_CLASSES,
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

    /// The finished requests it shows from its first place on; `None` if it shows none.
    pub(super) fn finished<'a>(&self, rows: &'a dyn RowReader) -> Option<Sorted<'a>> {
        let index = |index: Index<'_>| Sorted::Index(Box::new(IndexList::new(rows, index.prefix())));
        let mut all = Vec::new();
        all.extend(self.request_type.as_deref().map(|wanted| index(Index::Type(wanted))));
        all.extend(self.user.as_deref().map(|wanted| index(Index::User(wanted))));
        let ends = RequestState::ALL.into_iter().filter(|state| state.is_end());
        let (wanted, unwanted): (Vec<_>, Vec<_>) = ends.partition(|state| self.states.contains(state));
        if !self.states.is_empty() && !unwanted.is_empty() {
            if wanted.is_empty() {
                return None;
            }
            all.push(Sorted::Any(wanted.into_iter().map(|state| index(Index::State(state))).collect()));
        }
        all.extend(self.args.iter().map(|(name, value)| with_arg(rows, name, value)));
        all.extend(self.since.map(|since| ended_after(rows, since)));
        Some(if all.is_empty() { index(Index::Creation) } else { Sorted::All(all) })
    }
}

/// What was given an arg: what its index has, and what was given more args than there are index rows for.
fn with_arg<'a>(rows: &'a dyn RowReader, name: &str, value: &str) -> Sorted<'a> {
    let term = ArgTerm::of(name, value);
    let list = |term: &ArgTerm| IndexList::new(rows, Index::Arg(term).prefix());
    let indexed = match &term {
        ArgTerm::Text(..) => list(&term),
        ArgTerm::Hash(_) | ArgTerm::More => list(&term).unsure(),
    };
    let lists = [indexed, list(&ArgTerm::More).unsure()];
    Sorted::Any(lists.into_iter().map(|list| Sorted::Index(Box::new(list))).collect())
}

/// What ended after a moment: of each class of lengths, what was created less than its length before that.
fn ended_after(rows: &dyn RowReader, moment: Timestamp) -> Sorted<'_> {
    let of_class = |class: u8| {
        let longest = Duration::from_secs(4_u64.pow(class.into()));
        let list = IndexList::new(rows, Index::Length(class).prefix());
        Sorted::Index(Box::new(list.ended_after(moment, moment.before(longest))))
    };
    Sorted::Any((0..LENGTH_CLASSES).map(of_class).collect())
}
