//! What a cell has to do: the difference between what State gives it and what runs here. A pure function.

use std::collections::BTreeMap;

use capstan_model::{
    ids::Incarnation,
    lrp::{
        actual::{ActualKey, InstanceKey, Phase},
        guid::Guid,
    },
    state::State,
    time::Timestamp,
};

/// Something that a cell runs, in one run of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    /// An instance of an LRP.
    Instance {
        /// Its index.
        key: ActualKey,
        /// Which instance.
        instance: InstanceKey,
    },
    /// A task. One that was deleted and desired anew is another.
    Task {
        /// Its name.
        guid: Guid,
        /// When it was desired.
        created_at: Timestamp,
    },
}

/// What there is to do. Each step is safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The cluster does not know this cell yet.
    Announce,
    /// This cell is to start it.
    Start(Unit),
    /// It is not to run any more.
    Stop(Unit),
    /// It is not here, although State says so.
    Disown(Unit),
}

/// How far something that is here is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It is being started, runs, or has ended and is being reported.
    Going,
    /// It was told to end.
    Stopping,
}

/// What State wants of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// It is to run, and may not have been started.
    Run,
    /// It was started, and goes on.
    GoOn,
    /// It is to end.
    End,
}

/// Compares what State gives a cell in this life with what it holds.
pub(crate) fn plan(state: &State, me: Incarnation, held: &BTreeMap<Unit, Held>) -> Vec<Step> {
    let wishes = wishes(state, me);
    let announce = is_unknown(state, me).then_some(Step::Announce);
    let wished = wishes.iter().filter_map(|(unit, wish)| match (wish, held.get(unit)) {
        (Wish::Run, None) => Some(Step::Start(unit.clone())),
        (Wish::GoOn | Wish::End, None) => Some(Step::Disown(unit.clone())),
        (Wish::End, Some(Held::Going)) => Some(Step::Stop(unit.clone())),
        (Wish::Run | Wish::GoOn, Some(_)) | (Wish::End, Some(Held::Stopping)) => None,
    });
    let unwished = held
        .iter()
        .filter(|(unit, held)| **held == Held::Going && !wishes.contains_key(unit))
        .map(|(unit, _)| Step::Stop(unit.clone()));
    announce.into_iter().chain(wished).chain(unwished).collect()
}

/// Whether the node was admitted in this life, and its cell was not.
fn is_unknown(state: &State, me: Incarnation) -> bool {
    let node = state.nodes.get(&me.node);
    let is_admitted = node.is_some_and(|node| node.incarnation == me && !node.lost);
    is_admitted && state.lrps.cell_of(me).is_none()
}

fn wishes(state: &State, me: Incarnation) -> BTreeMap<Unit, Wish> {
    let instances = state.lrps.on_cell(me).filter_map(|record| {
        let (instance, wish) = match record.actual.phase {
            Phase::Claimed { instance, stopping: None } => (instance, Wish::Run),
            Phase::Running { instance, stopping: None, .. } => (instance, Wish::GoOn),
            Phase::Claimed { instance, .. } | Phase::Running { instance, .. } => (instance, Wish::End),
            Phase::Unclaimed { .. } | Phase::Crashed => return None,
        };
        Some((Unit::Instance { key: record.key.clone(), instance }, wish))
    });
    let tasks = state
        .tasks
        .on_cell(me)
        .map(|task| (Unit::Task { guid: task.guid.clone(), created_at: task.created_at }, Wish::Run));
    instances.chain(tasks).collect()
}
