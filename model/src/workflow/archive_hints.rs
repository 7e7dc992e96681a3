//! What each index row of a finished request says of it beside its place, so that a find leaves out at once most of what its other
//! filters do: the row is read anyway, and looking into another index for it costs about as much as fifty rows.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3;

use super::request::RequestState;

/// How a request ended, and a few bits of the hashes of its type and of its user. Requests that are alike have equal hints; those that are not may
/// have, too, so a hint leaves out and never decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hint {
    state: u8,
    request_type: u8,
    user: [u8; 2],
}

/// What hints must be; what is not asked for may be anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct WantedHints {
    /// Empty is any.
    states: Vec<u8>,
    request_type: Option<u8>,
    user: Option<[u8; 2]>,
}

impl Hint {
    pub(crate) fn of(state: RequestState, request_type: &str, user: &str) -> Self {
        Self { state: state.number(), request_type: of_type(request_type), user: of_user(user) }
    }
}

impl WantedHints {
    /// The hints of requests in one of these states (empty is any), of this type, of this user.
    pub(crate) fn of(states: &[RequestState], request_type: Option<&str>, user: Option<&str>) -> Self {
        Self {
            states: states.iter().map(|state| state.number()).collect(),
            request_type: request_type.map(of_type),
            user: user.map(of_user),
        }
    }

    /// Whether a request of this hint may be wanted.
    pub(crate) fn admit(&self, hint: Hint) -> bool {
        (self.states.is_empty() || self.states.contains(&hint.state))
            && self.request_type.is_none_or(|wanted| wanted == hint.request_type)
            && self.user.is_none_or(|wanted| wanted == hint.user)
    }
}

fn of_type(request_type: &str) -> u8 {
    xxh3::xxh3_64(request_type.as_bytes()).to_le_bytes()[0]
}

/// Upper and lower case are the same.
fn of_user(user: &str) -> [u8; 2] {
    let [first, second, ..] = xxh3::xxh3_64(user.to_lowercase().as_bytes()).to_le_bytes();
    [first, second]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_admitted_and_most_of_the_rest_is_not() {
        let failed = Hint::of(RequestState::Failed, "stop-host", "Ann");
        let wanted = |state, request_type, user| WantedHints::of(state, request_type, user).admit(failed);
        assert!(wanted(&[], None, None));
        assert!(wanted(&[RequestState::Complete, RequestState::Failed], Some("stop-host"), Some("aNN")));
        assert!(!wanted(&[RequestState::Complete], Some("stop-host"), Some("ann")));
        assert!(!wanted(&[], Some("start-host"), None));
        assert!(!wanted(&[], None, Some("bob")));
    }
}
