//! What tailers see of streams, as the invariants are told of it.

use capstan_model::history::EventId;
use serde_json::Value;

use crate::net;

/// Something that a tailer has seen.
#[derive(Debug)]
pub struct Seen<'a> {
    /// Who.
    pub tailer: u64,
    /// At which node.
    pub node: net::Place,
    /// The kinds of events that it asks for; empty for all.
    pub kinds: &'a [&'static str],
    /// What.
    pub step: Step<'a>,
}

/// What a tailer has seen.
#[derive(Debug)]
pub enum Step<'a> {
    /// A stream begins.
    Begun(Beginning),
    /// A stream is refused, for its next events are kept no more; so the state at this index says.
    Gone {
        /// The event behind which it was to go on.
        behind: EventId,
        /// The index.
        index: u64,
    },
    /// An event.
    Told {
        /// Its id.
        id: EventId,
        /// Its name.
        name: &'a str,
        /// Its data.
        data: &'a Value,
    },
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beginning {
    /// The event behind which it goes on; `None` for what happens next.
    pub behind: Option<EventId>,
    /// The index of the state in which that was found.
    pub index: u64,
    /// The newest index that anybody was told of before the stream was asked for.
    pub acknowledged: u64,
}

/// How far a tailer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Who.
    pub tailer: u64,
    /// The kinds of events that it asks for; empty for all.
    pub kinds: Vec<&'static str>,
    /// It was told of everything up to this number of events.
    pub told: usize,
    /// Whether it has ever begun to follow since it last had to begin anew.
    pub follows: bool,
}
