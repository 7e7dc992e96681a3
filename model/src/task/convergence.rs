//! What time and lost cells do to tasks. The times and texts are Diego's.
//!
//! The leader looks whether there is a step, and proposes `Converge` as long as there is one; apply lists the same steps
//! again and does the first [`STEPS_MAX`].

use std::{sync::Arc, time::Duration};

use imbl::OrdSet;

use super::{
    Task, Tasks,
    handle::Draft,
    live::{Phase, TaskEvent},
};
use crate::{ids::Incarnation, lrp::guid::Guid, state::State, time::Timestamp};

/// How many steps one command does.
pub const STEPS_MAX: usize = 256;
/// A task that waits for longer has failed.
pub const STARTED_WITHIN: Duration = Duration::from_secs(30 * 60);
/// A task that is done is forgotten after this time, whether anybody has looked or not.
pub const KEPT_FOR: Duration = Duration::from_secs(120);
/// A callback that has not been called within this time is called again.
pub const CALLED_WITHIN: Duration = Duration::from_secs(30);

const NOT_STARTED: &str = "not started within time limit";
const CELL_LOST: &str = "cell disappeared before completion";

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Its cell is gone: it has failed. A cell that is only silent may still bring it to its end.
    Lost(Arc<Task>),
    /// It has waited for too long: it has failed.
    NotStarted(Arc<Task>),
    /// It has been done for long enough: it goes.
    Forget(Arc<Task>),
    /// Its callback was not called: it is complete again.
    CallAgain(Arc<Task>),
}

/// The steps to be done at a time, at most one a task.
pub fn steps(state: &State, at: Timestamp) -> impl Iterator<Item = Step> {
    let tasks = &state.tasks;
    let is_gone = |cell: &&Incarnation| state.lrps.cell_of(**cell).is_none() && !mutant!("lost-tasks-kept");
    let gone = tasks.indexes.used.keys().filter(is_gone);
    let lost = gone.flat_map(|cell| tasks.on_cell(*cell)).cloned().map(Step::Lost);
    let not_started = due(tasks, &tasks.indexes.pending, STARTED_WITHIN, at).map(Step::NotStarted);
    let forgotten = due(tasks, &tasks.indexes.done, KEPT_FOR, at).map(Step::Forget);
    let is_kept = move |task: &Arc<Task>| task.completed().is_some_and(|done| at < done.at.after(KEPT_FOR));
    let again = due(tasks, &tasks.indexes.resolving, CALLED_WITHIN, at).filter(is_kept);
    lost.chain(not_started).chain(forgotten).chain(again.map(Step::CallAgain))
}

/// When the next step is due, if nothing else happens.
pub fn next_due(tasks: &Tasks) -> Option<Timestamp> {
    let indexes = &tasks.indexes;
    let ages =
        [(&indexes.pending, STARTED_WITHIN), (&indexes.done, KEPT_FOR), (&indexes.resolving, CALLED_WITHIN)];
    ages.into_iter().filter_map(|(set, age)| set.get_min().map(|(since, _)| since.after(age))).min()
}

/// The tasks of an index that have been in it for so long.
fn due<'a>(
    tasks: &'a Tasks,
    set: &'a OrdSet<(Timestamp, Guid)>,
    age: Duration,
    at: Timestamp,
) -> impl Iterator<Item = Arc<Task>> + 'a {
    let due = set.iter().take_while(move |(since, _)| since.after(age) <= at);
    due.filter_map(|(_, guid)| tasks.get(guid.as_str()).cloned())
}

/// Does the first steps that there are.
pub(super) fn converge(state: &State, at: Timestamp) -> Vec<TaskEvent> {
    let mut draft = Draft::new(state, at);
    for step in steps(state, at).take(STEPS_MAX) {
        match step {
            Step::Lost(task) => {
                sometimes!("the cell of a task is lost");
                draft.fail(&task, &CELL_LOST.into());
            }
            Step::NotStarted(task) => draft.fail(&task, &NOT_STARTED.into()),
            Step::Forget(task) => draft.remove(&task),
            Step::CallAgain(task) => {
                sometimes!("a callback is to be called again");
                let completed = task.completed().expect("it is being resolved").clone();
                draft.change(&task, Phase::Completed(completed));
            }
        }
    }
    draft.into_events()
}
