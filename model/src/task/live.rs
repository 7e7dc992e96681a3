//! All tasks, and how events change them, their rows and their indexes.

use std::{collections::BTreeMap, sync::Arc};

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use super::{definition::TaskDefinition, indexes::Indexes, live_rows};
use crate::{
    ids::Incarnation,
    lrp::{cell::Used, guid::Guid},
    rows::RowSink,
    time::Timestamp,
};

/// A task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its name.
    pub guid: Guid,
    /// What is to be done.
    pub definition: Arc<TaskDefinition>,
    /// When it was desired.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// How far it is.
    pub phase: Phase,
}

/// How far a task is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It waits to be placed.
    Pending,
    /// A cell does it.
    Running {
        /// The cell, in the life in which it was given the task.
        cell: Incarnation,
    },
    /// It is done, or failed.
    Completed(Completed),
    /// So it is, and its callback is being called.
    Resolving(Completed),
}

/// What is left of a task that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// Where it ran; `None` if it never did.
    pub cell: Option<Incarnation>,
    /// When it was done first.
    pub at: Timestamp,
    /// How it went.
    pub outcome: Outcome,
}

/// How a task went.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whether it failed.
    pub failed: bool,
    /// Why; empty when it did not.
    pub failure_reason: Arc<str>,
    /// The content of its result file, as far as it is text.
    pub result: Arc<str>,
}

/// The part of a task that is written again at each change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TaskRow {
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) phase: Phase,
}

/// One thing that happened to a task.
#[derive(Debug, Clone, PartialEq)]
pub enum TaskEvent {
    /// It was desired.
    Created(Arc<Task>),
    /// It was changed.
    Changed {
        /// What it was.
        before: Arc<Task>,
        /// What it is.
        after: Arc<Task>,
    },
    /// It is gone.
    Removed(Arc<Task>),
}

/// All tasks, by guid.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tasks {
    pub(super) by_guid: OrdMap<Guid, Arc<Task>>,
    pub(super) indexes: Indexes,
    /// Rows of definitions whose other row has not come yet; empty outside a load.
    pub(super) loading: BTreeMap<Guid, TaskDefinition>,
}

impl Task {
    /// What is left of it, once it is done.
    pub fn completed(&self) -> Option<&Completed> {
        match &self.phase {
            Phase::Completed(completed) | Phase::Resolving(completed) => Some(completed),
            Phase::Pending | Phase::Running { .. } => None,
        }
    }

    /// The cell that does it, or has done it.
    pub fn cell(&self) -> Option<Incarnation> {
        match &self.phase {
            Phase::Pending => None,
            Phase::Running { cell } => Some(*cell),
            Phase::Completed(completed) | Phase::Resolving(completed) => completed.cell,
        }
    }

    pub(super) fn row(&self) -> TaskRow {
        TaskRow { created_at: self.created_at, updated_at: self.updated_at, phase: self.phase.clone() }
    }
}

impl Phase {
    /// Whether a task in this phase may enter the next one.
    pub fn may_become(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Pending, Self::Running { .. } | Self::Completed(_)) => true,
            (Self::Running { .. }, Self::Completed(_)) => true,
            (Self::Completed(_), Self::Resolving(_)) => true,
            // The callback was not called in time.
            (Self::Resolving(_), Self::Completed(_)) => true,
            (_, Self::Pending)
            | (Self::Running { .. } | Self::Completed(_) | Self::Resolving(_), Self::Running { .. })
            | (Self::Pending | Self::Running { .. } | Self::Resolving(_), Self::Resolving(_))
            | (Self::Completed(_), Self::Completed(_)) => false,
        }
    }
}

/// How many tasks there are in each phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// Those that wait for a cell.
    pub pending: usize,
    /// Those that a cell does.
    pub running: usize,
    /// Those that are done.
    pub completed: usize,
    /// Those of whose end their owner is being told.
    pub resolving: usize,
}

impl Tasks {
    /// How many there are in each phase. Looks at none of them.
    pub fn counts(&self) -> TaskCounts {
        let indexes = &self.indexes;
        let resolving = indexes.resolving.len();
        TaskCounts {
            pending: indexes.pending.len(),
            running: indexes.by_cell.len(),
            completed: indexes.done.len() - resolving,
            resolving,
        }
    }

    /// The task of this name.
    pub fn get(&self, guid: &str) -> Option<&Arc<Task>> {
        self.by_guid.get(guid)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_guid.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_guid.is_empty()
    }

    /// All of them, by guid.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.by_guid.values()
    }

    /// Those that wait to be placed, the oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.indexes.pending.iter().filter_map(|(_, guid)| self.by_guid.get(guid))
    }

    /// Those that a cell is to do, by guid.
    pub fn on_cell(&self, cell: Incarnation) -> impl Iterator<Item = &Arc<Task>> {
        self.indexes.on_cell(cell).filter_map(|guid| self.by_guid.get(guid))
    }

    /// Those that are complete and whose callbacks are to be called, those first that have waited longest.
    pub fn callbacks(&self) -> impl Iterator<Item = &Arc<Task>> {
        self.indexes.callbacks.iter().filter_map(|(_, guid)| self.by_guid.get(guid))
    }

    /// How many tasks a cell does.
    pub fn count_on(&self, cell: Incarnation) -> u32 {
        u32::try_from(self.used(cell).containers).unwrap_or(u32::MAX)
    }

    /// What tasks take of a cell in one life.
    pub fn used(&self, cell: Incarnation) -> Used {
        self.indexes.used.get(&cell).copied().unwrap_or_default()
    }

    /// Applies one event, and tells the sink which rows that changes.
    pub(crate) fn evolve(&mut self, event: &TaskEvent, sink: &mut RowSink) {
        self.evolve_into(event, Some(sink));
    }

    /// Applies one event to a copy that no rows are kept of.
    pub(super) fn rehearse(&mut self, event: &TaskEvent) {
        self.evolve_into(event, None);
    }

    fn evolve_into(&mut self, event: &TaskEvent, sink: Option<&mut RowSink>) {
        match event {
            TaskEvent::Created(task) => self.set(&task.guid, Some(task), sink),
            TaskEvent::Changed { before, after } => {
                let (from, to) = (&before.phase, &after.phase);
                assert!(from.may_become(to), "task {} went from {from:?} to {to:?}", after.guid);
                self.set(&after.guid, Some(after), sink);
            }
            TaskEvent::Removed(task) => self.set(&task.guid, None, sink),
        }
    }

    fn set(&mut self, guid: &Guid, now: Option<&Arc<Task>>, sink: Option<&mut RowSink>) {
        let before = match now {
            Some(task) => self.by_guid.insert(guid.clone(), task.clone()),
            None => self.by_guid.remove(guid),
        };
        if let Some(before) = &before {
            self.indexes.remove(before);
        }
        if let Some(now) = now {
            self.indexes.add(now);
        }
        if let Some(sink) = sink {
            live_rows::replace(guid, before.as_deref(), now.map(|now| &**now), sink);
        }
    }
}
