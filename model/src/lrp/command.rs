//! What can be asked about LRPs and cells. These travel in the log: a shipped shape is never edited.
//!
//! A command that may create records carries one random number, `draw`, from which their epochs are made.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    actual::{ActualKey, InstanceKey, NetInfo},
    cell::Announcement,
    definition::{Changeable, Definition, Update},
    guid::ProcessGuid,
    tag::ModificationTag,
};
use crate::ids::Incarnation;

/// How many placements and failures one command brings, together.
pub const PLACED_MAX: usize = 256;

/// Something about LRPs or cells. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LrpCommand {
    /// Desires a new LRP, and creates the records of its indices.
    Desire(Arc<Desire>),
    /// Changes a desired LRP; indices that it adds or takes away are created or retired with it.
    Update(Box<UpdateDesired>),
    /// Desires an LRP no more, and retires its indices.
    Remove {
        /// Which.
        guid: ProcessGuid,
        /// Refused unless this is its tag.
        if_tag: Option<ModificationTag>,
    },
    /// Stops the instance of an index; another takes its place if the index is desired.
    Kill {
        /// Which.
        key: ActualKey,
        /// For the epoch of the other.
        draw: u128,
    },
    /// Makes a domain fresh.
    UpsertDomain {
        /// Which.
        domain: Arc<str>,
        /// For how long, in seconds of log time; `None` is for ever.
        ttl_secs: Option<u64>,
    },
    /// A cell says what it has, once in a life. A repeat changes nothing.
    AnnounceCell(Box<Announcement>),
    /// The leader has not heard a cell for too long: what it has is to be placed elsewhere. A repeat changes nothing.
    CellSilent {
        /// The cell, in the life in which it was silent.
        incarnation: Incarnation,
        /// The leader's term; refused under another one.
        term: u64,
    },
    /// The leader hears a cell again. A repeat changes nothing.
    CellHeard {
        /// The cell, in the life in which it was heard.
        incarnation: Incarnation,
    },
    /// What an auction came to: at most [`PLACED_MAX`] of both together. What was seen otherwise than it is now is left out.
    Place(Box<Place>),
    /// An instance is healthy. A repeat changes nothing.
    Running {
        /// Its index.
        key: ActualKey,
        /// Which instance.
        instance: InstanceKey,
        /// How it is reached.
        net: Arc<NetInfo>,
    },
    /// An instance has ended, or could not be started, and not because it was stopped.
    Crashed {
        /// Its index.
        key: ActualKey,
        /// Which instance.
        instance: InstanceKey,
        /// Why; empty when it ended without an error.
        reason: Arc<str>,
        /// For the epoch of what takes its place.
        draw: u128,
    },
    /// An instance is gone because it was stopped, or because its cell does not have it.
    Stopped {
        /// Its index.
        key: ActualKey,
        /// Which instance.
        instance: InstanceKey,
        /// For the epoch of what takes its place.
        draw: u128,
    },
    /// Does the first of the steps that [`super::convergence::steps`] lists. Proposed by the leader as long as there are any.
    Converge {
        /// For the epochs of new records.
        draw: u128,
    },
}

/// See [`LrpCommand::Desire`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desire {
    /// Its name; refused if it is taken.
    pub guid: ProcessGuid,
    /// What is to run.
    pub definition: Arc<Definition>,
    /// How many of it, and what its owner may change beside.
    pub changeable: Changeable,
    /// For the epochs of all records.
    pub draw: u128,
}

/// See [`LrpCommand::Update`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateDesired {
    /// Which.
    pub guid: ProcessGuid,
    /// What changes.
    pub update: Update,
    /// For the epochs of new records.
    pub draw: u128,
    /// Refused unless this is its tag.
    pub if_tag: Option<ModificationTag>,
}

/// See [`LrpCommand::Place`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// What found a cell.
    pub placements: Vec<Placement>,
    /// What found none.
    pub failures: Vec<PlacementFailure>,
}

/// An index that found a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The index.
    pub key: ActualKey,
    /// Its tag as the auction saw it.
    pub tag: ModificationTag,
    /// The instance that is to be, and where.
    pub instance: InstanceKey,
}

/// An index that found no cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementFailure {
    /// The index.
    pub key: ActualKey,
    /// Its tag as the auction saw it.
    pub tag: ModificationTag,
    /// Why, for people.
    pub error: Arc<str>,
}

impl LrpCommand {
    /// Whether it has a natural key that makes repeats harmless, so that it needs no session.
    pub fn has_natural_key(&self) -> bool {
        match self {
            Self::AnnounceCell(_)
            | Self::CellSilent { .. }
            | Self::CellHeard { .. }
            | Self::Place(_)
            | Self::Running { .. }
            | Self::Crashed { .. }
            | Self::Stopped { .. }
            | Self::Converge { .. } => true,
            Self::Desire(_)
            | Self::Update(_)
            | Self::Remove { .. }
            | Self::Kill { .. }
            | Self::UpsertDomain { .. } => false,
        }
    }
}
