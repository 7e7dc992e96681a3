//! The one number that says how far a request, a chain or a job has come.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How far something has come: a number in JSON, an upper-case name in filters and in what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum State {
    /// Only ever returned by a job; handled as failure.
    Unknown,
    /// Created, nothing has run.
    Pending,
    /// Runs, or sleeps between tries.
    Running,
    /// All jobs are complete.
    Complete,
    /// Ended with not all jobs complete.
    Fail,
    /// Not used; kept because filters accept its name.
    Reserved,
    /// Stopped by a user, and nothing failed.
    Stopped,
    /// Handed back by its node, waiting for another to resume it. Not used for jobs.
    Suspended,
}

/// A number or name that is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a valid state name")]
pub struct UnknownState(pub String);

impl State {
    /// Every state, in the order of the numbers.
    pub const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Pending,
        Self::Running,
        Self::Complete,
        Self::Fail,
        Self::Reserved,
        Self::Stopped,
        Self::Suspended,
    ];

    /// The upper-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNKNOWN",
            Self::Pending => "PENDING",
            Self::Running => "RUNNING",
            Self::Complete => "COMPLETE",
            Self::Fail => "FAIL",
            Self::Reserved => "RESERVED",
            Self::Stopped => "STOPPED",
            Self::Suspended => "SUSPENDED",
        }
    }

    /// Whether nothing more will happen to a request in this state.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Complete | Self::Fail | Self::Stopped)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl From<State> for u8 {
    fn from(state: State) -> Self {
        state as Self
    }
}

impl TryFrom<u8> for State {
    type Error = UnknownState;

    fn try_from(number: u8) -> Result<Self, UnknownState> {
        Self::ALL.get(usize::from(number)).copied().ok_or_else(|| UnknownState(number.to_string()))
    }
}

impl FromStr for State {
    type Err = UnknownState;

    /// Reads the upper-case name; any other spelling is refused, as upstream does.
    fn from_str(name: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|s| s.name() == name).ok_or_else(|| UnknownState(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_go_both_ways() {
        for (number, state) in (0_u8..).zip(State::ALL) {
            assert_eq!(State::try_from(number), Ok(state));
            assert_eq!(u8::from(state), number);
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert_eq!(State::try_from(8), Err(UnknownState("8".to_owned())));
        assert_eq!("running".parse::<State>(), Err(UnknownState("running".to_owned())));
    }
}
