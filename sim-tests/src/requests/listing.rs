//! Lists of requests, compared with what the log says was stored and had ended at their index: a list is one state, and no mix of two.

use std::collections::BTreeMap;

use capstan_model::{
    ids::RequestId,
    workflow::{event::WorkflowEvent, request::RequestState},
};

use crate::ledger::Committed;

/// When requests were stored, and when and how they ended.
#[derive(Debug, Default)]
pub(crate) struct Lifetimes {
    requests: BTreeMap<RequestId, Lifetime>,
}

#[derive(Debug)]
struct Lifetime {
    stored: u64,
    ended: Option<(u64, RequestState)>,
}

/// A list as a client was given it: ids with the names of states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The index it shows.
    pub(crate) index: u64,
    pub(crate) requests: Vec<(String, String)>,
}

impl Lifetimes {
    /// Takes the next entry.
    pub(crate) fn heed(&mut self, committed: &Committed) {
        let index = committed.index;
        for event in committed.workflow() {
            match event {
                WorkflowEvent::RequestCreated { request, .. } => {
                    self.requests.insert(request.id, Lifetime { stored: index, ended: None });
                }
                WorkflowEvent::RequestEnded { request, state, .. } => {
                    if let Some(lifetime) = self.requests.get_mut(request) {
                        lifetime.ended = Some((index, *state));
                    }
                }
                _ => {}
            }
        }
    }

    /// Compares a list with its index. Retention takes none away: runs are shorter than it.
    ///
    /// # Errors
    /// A request is missing, was not there, or had another end or none.
    pub(crate) fn check(&self, listing: &Listing) -> Result<(), String> {
        let Listing { index, requests } = listing;
        let mut listed: BTreeMap<&str, &str> =
            requests.iter().map(|(id, state)| (id.as_str(), state.as_str())).collect();
        if listed.len() != requests.len() {
            return Err(format!("a list at index {index} has a request twice: {requests:?}"));
        }
        for (id, lifetime) in self.requests.iter().filter(|(_, lifetime)| lifetime.stored <= *index) {
            let Some(state) = listed.remove(id.to_string().as_str()) else {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_state_at_its_index() {
        let id = |text: &str| text.parse::<RequestId>().expect("an xid");
        let (a, b) = ("9m4e2mr0ui3e8a215n4g", "9m4e2mr0ui3e8a215n50");
        let lifetimes = Lifetimes {
            requests: BTreeMap::from([
                (id(a), Lifetime { stored: 3, ended: Some((7, RequestState::Complete)) }),
                (id(b), Lifetime { stored: 5, ended: None }),
            ]),
        };
        let holds = |index, requests: &[(&str, &str)]| {
            let requests =
                requests.iter().map(|(id, state)| ((*id).to_owned(), (*state).to_owned())).collect();
            lifetimes.check(&Listing { index, requests }).is_ok()
        };
        assert!(holds(2, &[]));
        assert!(holds(4, &[(a, "RUNNING")]));
        assert!(holds(7, &[(a, "COMPLETE"), (b, "PENDING")]));
        assert!(!holds(4, &[]), "one is missing");
        assert!(!holds(4, &[(a, "RUNNING"), (b, "PENDING")]), "one comes later");
        assert!(!holds(6, &[(a, "COMPLETE"), (b, "PENDING")]), "it ends later");
        assert!(!holds(7, &[(a, "RUNNING"), (b, "PENDING")]), "it has ended");
        assert!(!holds(7, &[(a, "FAIL"), (b, "PENDING")]), "it ended otherwise");
        assert!(!holds(4, &[(a, "RUNNING"), (a, "RUNNING")]), "twice");
    }
}
