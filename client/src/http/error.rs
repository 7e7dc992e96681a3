//! Why a call failed, and above all whether something may have happened.

use std::{fmt, time::Duration};

/// Why a call did not end in the answer it asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No node accepted a connection; nothing happened.
    #[error("no node could be reached: {}", list(.tried))]
    Unreachable {
        /// What became of each node.
        tried: Vec<Tried>,
    },
    /// A node answered and refused; nothing happened.
    #[error("{message} (HTTP {status} from {address})")]
    Refused {
        /// The status code.
        status: u16,
        /// The stable word for programs, where the API has one.
        code: Option<String>,
        /// What the node said was wrong.
        message: String,
        /// The node.
        address: String,
    },
    /// A read was not answered in time; nothing happened.
    #[error("no answer within {:.1} s: {}", .waited.as_secs_f64(), list(.tried))]
    Timeout {
        /// How long the call took.
        waited: Duration,
        /// What became of each attempt.
        tried: Vec<Tried>,
    },
    /// A write was sent and its answer never came: it may have happened, may yet, or may never.
    #[error("outcome unknown after {:.1} s: {}", .waited.as_secs_f64(), list(.tried))]
    UnknownOutcome {
        /// How long the call took.
        waited: Duration,
        /// Path of what the write would have made, if a node told.
        location: Option<String>,
        /// What became of each attempt.
        tried: Vec<Tried>,
    },
    /// A node answered something that is no answer to this call, as a program of another kind would.
    #[error("{address} answered HTTP {status} with a body that cannot be read")]
    Unreadable {
        /// The status code.
        status: u16,
        /// The node, or what listens there instead.
        address: String,
        /// What is wrong with the body.
        #[source]
        source: serde_json::Error,
    },
    /// A node broke off in the middle of an answer that goes on and on; what had come was right.
    #[error("broken off: {}", list(.tried))]
    Broken {
        /// By whom, and how.
        tried: Vec<Tried>,
    },
    /// The name cannot stand in a URL; nothing was sent.
    #[error("{name:?} cannot be named in a URL")]
    InvalidName {
        /// What was given.
        name: String,
    },
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The node.
    pub address: String,
    /// Why there was no answer.
    pub failure: String,
}

impl CallError {
    /// What the caller can do next, as one sentence without a full stop; for people.
    pub fn next_step(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "check that the nodes run, and the addresses",
            Self::Refused { status, .. } => after_refusal(*status),
            Self::Timeout { .. } => "try again with more time, or ask for the status of the cluster",
            Self::UnknownOutcome { location: Some(_), .. } => {
                "look whether it exists before sending it again"
            }
            Self::UnknownOutcome { location: None, .. } => "read what is there now before sending it again",
            Self::Unreadable { .. } => {
                "check that the address is that of a capstan node, and the versions of both"
            }
            Self::Broken { .. } => "ask again for what came after",
            Self::InvalidName { .. } => "choose another name",
        }
    }

    /// The status code of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Whether what the call was about does not exist.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the write may have happened all the same.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::UnknownOutcome { .. })
    }
}

fn after_refusal(status: u16) -> &'static str {
    match status {
        400 | 405 | 413 | 415 | 422 => "correct the call and send it again",
        401 | 403 => "ask for the right, or call as someone who has it",
        404 => "check the name, or list what exists",
        409 | 412 => "read what is there now, then decide",
        410 => "this is no longer served; list, then go on from there",
        429 => "wait a moment and send it again; nothing happened",
        503 => "nothing happened; look at the status of the cluster and send it again",
        507 => "nothing happened; free disk space on the nodes and send it again",
        _ => "look at the node's log",
    }
}

fn list(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return "no attempt was made".to_owned();
    }
    // A call may have gone round the nodes many times: the newest failure of each node tells enough.
    let mut newest: Vec<&Tried> = Vec::new();
    for attempt in tried.iter().rev() {
        if newest.iter().all(|seen| seen.address != attempt.address) {
            newest.push(attempt);
        }
    }
    newest.iter().rev().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.address, self.failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(address: &str, failure: &str) -> Tried {
        Tried { address: address.to_owned(), failure: failure.to_owned() }
    }

    #[test]
    fn each_node_is_named_once_with_its_newest_failure() {
        let error = CallError::Unreachable {
            tried: vec![tried("a", "refused"), tried("b", "refused"), tried("a", "reset")],
        };
        assert_eq!(error.to_string(), "no node could be reached: b: refused; a: reset");
    }
}
