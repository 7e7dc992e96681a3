//! What can be asked about tasks. These travel in the log: a shipped shape is never edited.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{definition::TaskDefinition, live::Outcome};
use crate::{ids::Incarnation, lrp::guid::Guid, time::Timestamp};

/// Something about tasks. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskCommand {
    /// Desires a new task.
    Desire(Arc<DesireTask>),
    /// What an auction came to: at most [`crate::lrp::command::PLACED_MAX`] of both together. What was seen otherwise than it
    /// is now is left out.
    Place(Box<PlaceTasks>),
    /// A cell has done a task, or failed to. A repeat is refused and changes nothing.
    Ended {
        /// Which.
        guid: Guid,
        /// The cell, in the life in which it was given the task.
        cell: Incarnation,
        /// How it went.
        outcome: Outcome,
    },
    /// Ends a task that is not complete.
    Cancel {
        /// Which.
        guid: Guid,
    },
    /// Removes a task that is complete.
    Delete {
        /// Which.
        guid: Guid,
    },
    /// Its callback is about to be called. A repeat is refused.
    Resolving {
        /// Which.
        guid: Guid,
    },
    /// Its callback has been called: it goes. A repeat is refused.
    Resolved {
        /// Which.
        guid: Guid,
    },
    /// Does the first of the steps that [`super::convergence::steps`] lists. Proposed by the leader as long as there are any.
    Converge,
}

/// See [`TaskCommand::Desire`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesireTask {
    /// Its name; refused if it is taken.
    pub guid: Guid,
    /// What is to be done.
    pub definition: Arc<TaskDefinition>,
}

/// See [`TaskCommand::Place`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceTasks {
    /// What found a cell.
    pub placements: Vec<TaskPlacement>,
    /// What found none, and has failed by that.
    pub failures: Vec<TaskPlacementFailure>,
}

/// A task that found a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlacement {
    /// The task.
    pub guid: Guid,
    /// When it last changed, as the auction saw it.
    pub updated_at: Timestamp,
    /// The cell.
    pub cell: Incarnation,
}

/// A task that found no cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskPlacementFailure {
    /// The task.
    pub guid: Guid,
    /// When it last changed, as the auction saw it.
    pub updated_at: Timestamp,
    /// Why, for people.
    pub error: Arc<str>,
}

impl TaskCommand {
    /// Whether it has a natural key that makes repeats harmless, so that it needs no session.
    pub fn has_natural_key(&self) -> bool {
        match self {
            Self::Place(_)
            | Self::Ended { .. }
            | Self::Resolving { .. }
            | Self::Resolved { .. }
            | Self::Converge => true,
            Self::Desire(_) | Self::Cancel { .. } | Self::Delete { .. } => false,
        }
    }
}
