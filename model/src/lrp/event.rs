//! What happens to LRPs, cells and domains. Handlers decide on events; [`super::Lrps`] evolves by them and by nothing else.

use std::sync::Arc;

use super::{
    actual::{Actual, ActualKey, Presence, StopCause},
    cell::Cell,
    desired::Desired,
};
use crate::{ids::Incarnation, time::Timestamp};

/// One thing that happened. Those of desired LRPs and of records are public, but for [`LrpEvent::StopAsked`].
#[derive(Debug, Clone, PartialEq)]
pub enum LrpEvent {
    /// An LRP is desired.
    DesiredCreated(Arc<Desired>),
    /// Its owner has changed it.
    DesiredChanged {
        /// What it was.
        before: Arc<Desired>,
        /// What it is.
        after: Arc<Desired>,
    },
    /// It is desired no more.
    DesiredRemoved(Arc<Desired>),
    /// A record came to be.
    ActualCreated {
        /// Its index.
        key: ActualKey,
        /// Which of the two.
        presence: Presence,
        /// What it is.
        actual: Arc<Actual>,
    },
    /// A record was changed.
    ActualChanged {
        /// Its index.
        key: ActualKey,
        /// Which of the two.
        presence: Presence,
        /// What it was.
        before: Arc<Actual>,
        /// What it is.
        after: Arc<Actual>,
    },
    /// A record is gone.
    ActualRemoved {
        /// Its index.
        key: ActualKey,
        /// Which of the two.
        presence: Presence,
        /// What it was.
        actual: Arc<Actual>,
    },
    /// A cell is to stop an instance; nobody else is told.
    StopAsked {
        /// Its index.
        key: ActualKey,
        /// Which of the two records.
        presence: Presence,
        /// Why.
        cause: StopCause,
    },
    /// A domain is fresh.
    DomainFresh {
        /// Which.
        domain: Arc<str>,
        /// Until when; `None` is for ever.
        until: Option<Timestamp>,
    },
    /// A domain is not fresh any more.
    DomainExpired {
        /// Which.
        domain: Arc<str>,
    },
    /// A cell announced itself, or is silent, heard, drained, or not any more.
    CellChanged(Arc<Cell>),
    /// A cell is no more: its node lives another life, or is lost.
    CellEnded {
        /// The life that is over.
        incarnation: Incarnation,
    },
}
