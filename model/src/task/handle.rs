//! What each command about tasks leads to: a refusal, or events. Nothing is changed here.

use std::sync::Arc;

use super::{
    Tasks,
    command::{DesireTask, PlaceTasks, TaskCommand},
    convergence,
    live::{Completed, Outcome, Phase, Task, TaskEvent},
};
use crate::{
    ids::Incarnation,
    lrp::{command::PLACED_MAX, guid::Guid},
    rejection::{Rejection, check_size},
    state::State,
    time::Timestamp,
};

/// How many tasks there may be at a time.
const TASKS_MAX: usize = 100_000;
/// The largest result of a task, in bytes.
pub const RESULT_BYTES_MAX: usize = 10_240;
/// The longest reason of a failure, in bytes; whoever reports cuts it.
const REASON_BYTES_MAX: usize = 10_240;
/// Why a task failed that was cancelled.
const CANCELLED: &str = "task was cancelled";

/// What a handler decided.
type Decision = Result<Vec<TaskEvent>, Rejection>;

/// Decides on a command about tasks.
pub(crate) fn handle(state: &State, at: Timestamp, command: &TaskCommand) -> Decision {
    match command {
        TaskCommand::Desire(desire) => self::desire(state, at, desire),
        TaskCommand::Place(place) => self::place(state, at, place),
        TaskCommand::Ended { guid, cell, outcome } => ended(state, at, guid, *cell, outcome),
        TaskCommand::Cancel { guid } => cancel(state, at, guid),
        TaskCommand::Delete { guid } => delete(state, guid),
        TaskCommand::Resolving { guid } => resolving(state, at, guid),
        TaskCommand::Resolved { guid } => resolved(state, guid),
        TaskCommand::Converge => Ok(convergence::converge(state, at)),
    }
}

fn desire(state: &State, at: Timestamp, desire: &DesireTask) -> Decision {
    let DesireTask { guid, definition } = desire;
    if state.tasks.get(guid.as_str()).is_some() {
        return Err(Rejection::TaskExists { guid: guid.clone() });
    }
    if state.tasks.len() >= TASKS_MAX {
        return Err(Rejection::TooMany { what: "tasks".to_owned(), count_max: TASKS_MAX as u64 });
    }
    Ok(vec![TaskEvent::Created(Arc::new(Task {
        guid: guid.clone(),
        definition: definition.clone(),
        created_at: at,
        updated_at: at,
        phase: Phase::Pending,
    }))])
}

/// Gives cells what they won, and fails what found none. What is not as the auction saw it, or does not fit any more, is left out:
/// the next auction sees it.
fn place(state: &State, at: Timestamp, place: &PlaceTasks) -> Decision {
    if place.placements.len() + place.failures.len() > PLACED_MAX {
        let what = "placements and failures in one command".to_owned();
        return Err(Rejection::TooMany { what, count_max: PLACED_MAX as u64 });
    }
    let mut draft = Draft::new(state, at);
    for placement in &place.placements {
        let Some(task) = draft.seen(&placement.guid, placement.updated_at) else { continue };
        let life = placement.cell;
        let available = state.lrps.cell_of(life).filter(|cell| cell.is_available());
        let fits = available.is_some_and(|cell| {
            let mut used = state.lrps.used(life) + draft.tasks.used(life);
            used.take(task.definition.needs());
            used.is_within(cell.capacity)
        });
        if fits {
            draft.change(&task, Phase::Running { cell: life });
        }
    }
    for failure in &place.failures {
        if let Some(task) = draft.seen(&failure.guid, failure.updated_at) {
            sometimes!("a task finds no cell");
            draft.fail(&task, &failure.error);
        }
    }
    Ok(draft.into_events())
}

fn ended(state: &State, at: Timestamp, guid: &Guid, cell: Incarnation, outcome: &Outcome) -> Decision {
    let runs_here = |phase: &Phase| match phase {
        Phase::Running { cell: on } => *on == cell || mutant!("stale-task-report-accepted"),
        _ => false,
    };
    let task = state.tasks.get(guid.as_str()).filter(|task| runs_here(&task.phase));
    sometimes!("the report of a task comes too late", task.is_none());
    let task = task.ok_or_else(|| Rejection::StaleTask { guid: guid.clone() })?;
    check_size("the result of a task", &outcome.result, RESULT_BYTES_MAX)?;
    check_size("the failure of a task", &outcome.failure_reason, REASON_BYTES_MAX)?;
    let mut draft = Draft::new(state, at);
    draft.complete(task, outcome.clone());
    Ok(draft.into_events())
}

/// Ends a task as failed. A cell that does it stops it, because it is not running any more.
fn cancel(state: &State, at: Timestamp, guid: &Guid) -> Decision {
    let task = find(state, guid)?;
    if task.completed().is_some() {
        return Err(Rejection::TaskOver { guid: guid.clone() });
    }
    sometimes!("a task is cancelled while a cell does it", task.cell().is_some());
    let mut draft = Draft::new(state, at);
    draft.fail(task, &CANCELLED.into());
    Ok(draft.into_events())
}

fn delete(state: &State, guid: &Guid) -> Decision {
    let task = find(state, guid)?;
    match task.phase {
        Phase::Completed(_) => Ok(vec![TaskEvent::Removed(task.clone())]),
        Phase::Pending | Phase::Running { .. } | Phase::Resolving(_) => {
            Err(Rejection::TaskNotDeletable { guid: guid.clone() })
        }
    }
}

fn resolving(state: &State, at: Timestamp, guid: &Guid) -> Decision {
    let task = find(state, guid)?;
    let Phase::Completed(completed) = &task.phase else {
        return Err(Rejection::StaleTask { guid: guid.clone() });
    };
    let mut draft = Draft::new(state, at);
    draft.change(task, Phase::Resolving(completed.clone()));
    Ok(draft.into_events())
}

fn resolved(state: &State, guid: &Guid) -> Decision {
    let task = find(state, guid)?;
    match task.phase {
        Phase::Resolving(_) => Ok(vec![TaskEvent::Removed(task.clone())]),
        Phase::Pending | Phase::Running { .. } | Phase::Completed(_) => {
            Err(Rejection::StaleTask { guid: guid.clone() })
        }
    }
}

fn find<'a>(state: &'a State, guid: &Guid) -> Result<&'a Arc<Task>, Rejection> {
    state.tasks.get(guid.as_str()).ok_or_else(|| Rejection::NoSuchTask { guid: guid.clone() })
}

/// Events, and tasks as they leave them.
pub(super) struct Draft {
    pub(super) tasks: Tasks,
    at: Timestamp,
    events: Vec<TaskEvent>,
}

impl Draft {
    pub(super) fn new(state: &State, at: Timestamp) -> Self {
        Self { tasks: state.tasks.clone(), at, events: vec![] }
    }

    pub(super) fn into_events(self) -> Vec<TaskEvent> {
        self.events
    }

    /// A task that waits, if it is as an auction saw it.
    fn seen(&self, guid: &Guid, updated_at: Timestamp) -> Option<Arc<Task>> {
        let task = self.tasks.get(guid.as_str())?;
        (task.phase == Phase::Pending && task.updated_at == updated_at).then(|| task.clone())
    }

    pub(super) fn change(&mut self, before: &Arc<Task>, phase: Phase) {
        let after = Arc::new(Task { phase, updated_at: self.at, ..(**before).clone() });
        self.record(TaskEvent::Changed { before: before.clone(), after });
    }

    pub(super) fn remove(&mut self, task: &Arc<Task>) {
        self.record(TaskEvent::Removed(task.clone()));
    }

    pub(super) fn fail(&mut self, task: &Arc<Task>, reason: &Arc<str>) {
        self.complete(task, Outcome { failed: true, failure_reason: reason.clone(), result: "".into() });
    }

    fn complete(&mut self, task: &Arc<Task>, outcome: Outcome) {
        let completed = Completed { cell: task.cell(), at: self.at, outcome };
        self.change(task, Phase::Completed(completed));
    }

    fn record(&mut self, event: TaskEvent) {
        self.tasks.rehearse(&event);
        self.events.push(event);
    }
}
