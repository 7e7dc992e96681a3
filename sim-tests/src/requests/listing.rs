//! Lists of requests, compared with what the log says was stored, had ended and was trimmed at their index: a list is one state, and no mix
//! of two. What is trimmed while a list is read may be missing.

use std::collections::BTreeMap;

use capstan_model::{
    event::Event,
    ids::RequestId,
    workflow::{command::RequestArg, event::WorkflowEvent, request::RequestState},
};

use crate::ledger::Committed;

/// When requests were stored, when and how they ended, and when they were trimmed.
#[derive(Debug, Default)]
pub(crate) struct Lifetimes {
    requests: BTreeMap<RequestId, Lifetime>,
    /// Those that clients have given a tag, by that; not those that go on with another, which have its tag.
    by_tag: BTreeMap<String, Vec<RequestId>>,
    /// Those that go on with each other one.
    retries: BTreeMap<RequestId, Vec<RequestId>>,
}

#[derive(Debug)]
struct Lifetime {
    stored: u64,
    ended: Option<(u64, RequestState)>,
    trimmed: Option<u64>,
}

/// A list as a client was given it: ids with the names of states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The index it shows.
    pub(crate) index: u64,
    /// What was committed when it had been read.
    pub(crate) upto: u64,
    pub(crate) requests: Vec<(String, String)>,
}

impl Lifetimes {
    /// Takes the next entry.
    pub(crate) fn heed(&mut self, committed: &Committed) {
        let index = committed.index;
        for event in committed.workflow() {
            match event {
                WorkflowEvent::RequestCreated { request, terms, .. } => {
                    let lifetime = Lifetime { stored: index, ended: None, trimmed: None };
                    self.requests.insert(request.id, lifetime);
                    match &terms.retry_of {
                        Some(retry_of) => self.retries.entry(retry_of.request).or_default(),
                        None => self.by_tag.entry(tag_of(&request.args)).or_default(),
                    }
                    .push(request.id);
                }
                WorkflowEvent::RequestEnded { request, state, .. } => {
                    if let Some(lifetime) = self.requests.get_mut(request) {
                        lifetime.ended = Some((index, *state));
                    }
                }
                _ => {}
            }
        }
        for event in &committed.events {
            let Event::RequestsTrimmed(trimmed) = event else { continue };
            for id in trimmed.whole.iter().map(|whole| whole.indexed.id) {
                if let Some(lifetime) = self.requests.get_mut(&id) {
                    lifetime.trimmed = Some(index);
                }
            }
        }
    }

    /// The requests that were stored with a tag.
    pub(crate) fn tagged(&self, tag: &str) -> &[RequestId] {
        self.by_tag.get(tag).map_or(&[], Vec::as_slice)
    }

    /// The requests that go on with each other one.
    pub(crate) fn retries(&self) -> &BTreeMap<RequestId, Vec<RequestId>> {
        &self.retries
    }

    /// Whether a request has been trimmed.
    pub(crate) fn is_trimmed(&self, id: &str) -> bool {
        let lifetime = id.parse().ok().and_then(|id: RequestId| self.requests.get(&id));
        lifetime.is_some_and(|lifetime| lifetime.trimmed.is_some())
    }

    /// Whether anything has been trimmed.
    pub(crate) fn any_trimmed(&self) -> bool {
        self.requests.values().any(|lifetime| lifetime.trimmed.is_some())
    }

    /// The requests that were there from one index to another.
    pub(crate) fn there_throughout(&self, first: u64, upto: u64) -> impl Iterator<Item = String> {
        let is_there = move |lifetime: &Lifetime| {
            lifetime.stored <= first && lifetime.trimmed.is_none_or(|trimmed| trimmed > upto)
        };
        self.requests.iter().filter(move |(_, it)| is_there(it)).map(|(id, _)| id.to_string())
    }

    /// Compares a list with its index.
    ///
    /// # Errors
    /// A request is missing, was not there, or had another end or none.
    pub(crate) fn check(&self, listing: &Listing) -> Result<(), String> {
        let Listing { index, upto, requests } = listing;
        let mut listed: BTreeMap<&str, &str> =
            requests.iter().map(|(id, state)| (id.as_str(), state.as_str())).collect();
        if listed.len() != requests.len() {
            return Err(format!("a list at index {index} has a request twice: {requests:?}"));
        }
        let is_there = |lifetime: &Lifetime| {
            lifetime.stored <= *index && lifetime.trimmed.is_none_or(|trimmed| trimmed > *index)
        };
        for (id, lifetime) in self.requests.iter().filter(|(_, lifetime)| is_there(lifetime)) {
            let Some(state) = listed.remove(id.to_string().as_str()) else {
                if lifetime.trimmed.is_some_and(|trimmed| trimmed <= *upto) {
                    continue;
                }
                return Err(format!("a list at index {index} is without {id}: {lifetime:?}"));
            };
            let ended = lifetime.ended.filter(|(ended, _)| ended <= index).map(|(_, state)| state);
            let listed = RequestState::from_name(state).filter(|state| state.is_end());
            if listed != ended {
                return Err(format!("a list at index {index} has {id} as {state}: {lifetime:?}"));
            }
        }
        match listed.first_key_value() {
            Some((id, state)) => {
                Err(format!("a list at index {index} has {id} as {state}, which is not stored"))
            }
            None => Ok(()),
        }
    }
}

/// What clients of requests name one by: the last of the words that its processes are given.
fn tag_of(args: &[RequestArg]) -> String {
    let words = args.iter().find(|arg| &*arg.name == "args").and_then(|arg| arg.value.to_text());
    let tag = words.iter().flat_map(|words| words.split_whitespace()).next_back().map(str::to_owned);
    tag.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_state_at_its_index() {
        let id = |text: &str| text.parse::<RequestId>().expect("an xid");
        let (a, b) = ("9m4e2mr0ui3e8a215n4g", "9m4e2mr0ui3e8a215n50");
        let complete = Lifetime { stored: 3, ended: Some((7, RequestState::Complete)), trimmed: Some(9) };
        let running = Lifetime { stored: 5, ended: None, trimmed: None };
        let requests = BTreeMap::from([(id(a), complete), (id(b), running)]);
        let lifetimes = Lifetimes { requests, ..Lifetimes::default() };
        let holds_upto = |upto, index, requests: &[(&str, &str)]| {
            let requests =
                requests.iter().map(|(id, state)| ((*id).to_owned(), (*state).to_owned())).collect();
            lifetimes.check(&Listing { index, upto, requests }).is_ok()
        };
        let holds = |index, requests: &[(&str, &str)]| holds_upto(index, index, requests);
        assert!(holds(2, &[]));
        assert!(holds(4, &[(a, "RUNNING")]));
        assert!(holds(7, &[(a, "COMPLETE"), (b, "PENDING")]));
        assert!(!holds(4, &[]), "one is missing");
        assert!(!holds(4, &[(a, "RUNNING"), (b, "PENDING")]), "one comes later");
        assert!(!holds(6, &[(a, "COMPLETE"), (b, "PENDING")]), "it ends later");
        assert!(!holds(7, &[(a, "RUNNING"), (b, "PENDING")]), "it has ended");
        assert!(!holds(7, &[(a, "FAIL"), (b, "PENDING")]), "it ended otherwise");
        assert!(!holds(4, &[(a, "RUNNING"), (a, "RUNNING")]), "twice");
        assert!(
            holds(9, &[(b, "PENDING")]) && !holds(9, &[(a, "COMPLETE"), (b, "PENDING")]),
            "it was trimmed"
        );
        assert!(!holds(8, &[(b, "PENDING")]), "it was not yet");
        assert!(holds_upto(9, 8, &[(b, "PENDING")]), "it was while the list was read");
        let throughout = |first, upto| lifetimes.there_throughout(first, upto).collect::<Vec<_>>();
        assert_eq!([throughout(3, 8), throughout(5, 9)], [vec![a.to_owned()], vec![b.to_owned()]]);
    }
}
