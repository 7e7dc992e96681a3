//! What plans and cells look up, kept beside the tasks it follows from.

use imbl::{OrdMap, OrdSet};

use super::live::{Phase, Task};
use crate::{
    ids::Incarnation,
    lrp::{cell::Used, guid::Guid},
    time::Timestamp,
};

/// The lookups over tasks.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Indexes {
    /// Those that wait, by the time at which they were desired.
    pub(super) pending: OrdSet<(Timestamp, Guid)>,
    /// Those that run.
    pub(super) by_cell: OrdSet<(Incarnation, Guid)>,
    /// What they take of a cell; absent when there are none.
    pub(super) used: OrdMap<Incarnation, Used>,
    /// Those that are done, by the time at which they were done first.
    pub(super) done: OrdSet<(Timestamp, Guid)>,
    /// Those that are done and have a callback, by the time of their last change.
    pub(super) callbacks: OrdSet<(Timestamp, Guid)>,
    /// Those whose callback is being called, by the time of their last change.
    pub(super) resolving: OrdSet<(Timestamp, Guid)>,
}

impl Indexes {
    pub(super) fn add(&mut self, task: &Task) {
        if let Phase::Running { cell } = task.phase {
            self.by_cell.insert((cell, task.guid.clone()));
            self.used.entry(cell).or_default().take(task.definition.needs());
        }
        for (set, at) in self.by_time(task) {
            set.insert((at, task.guid.clone()));
        }
    }

    pub(super) fn remove(&mut self, task: &Task) {
        if let Phase::Running { cell } = task.phase {
            self.by_cell.remove(&(cell, task.guid.clone()));
            let used = self.used.get_mut(&cell).expect("what is on a cell was counted");
            used.give_back(task.definition.needs());
            if used.containers == 0 {
                self.used.remove(&cell);
            }
        }
        for (set, at) in self.by_time(task) {
            set.remove(&(at, task.guid.clone()));
        }
    }

    /// The tasks on a cell, in order.
    pub(super) fn on_cell(&self, cell: Incarnation) -> impl Iterator<Item = &Guid> {
        let from = (cell, Guid::lowest());
        self.by_cell.range(from..).take_while(move |(on, _)| *on == cell).map(|(_, guid)| guid)
    }

    /// The indexes by time that hold a task, and under which.
    fn by_time(&mut self, task: &Task) -> Vec<(&mut OrdSet<(Timestamp, Guid)>, Timestamp)> {
        match &task.phase {
            Phase::Pending => vec![(&mut self.pending, task.created_at)],
            Phase::Running { .. } => vec![],
            Phase::Completed(completed) => {
                let mut held = vec![(&mut self.done, completed.at)];
                if !task.definition.completion_callback_url.is_empty() {
                    held.push((&mut self.callbacks, task.updated_at));
                }
                held
            }
            Phase::Resolving(completed) => {
                vec![(&mut self.done, completed.at), (&mut self.resolving, task.updated_at)]
            }
        }
    }
}
