//! P4: in a healed cluster what runs is what is desired, each index once, and the records say so.

use std::collections::BTreeMap;

use capstan_model::{
    lrp::{
        actual::{ActualKey, InstanceKey, Phase},
        cell::{Cell, Used},
    },
    state::State,
    task,
};

use super::Invariant;
use crate::{
    instances::{Unit, UnitProcess},
    oracle::Observation,
};

/// A settled world runs exactly what is desired, as far as there is room.
#[derive(Default)]
pub(crate) struct InstancesMatchDesires;

impl Invariant for InstancesMatchDesires {
    fn name(&self) -> &'static str {
        "in a healed cluster every desired index runs once, and nothing else does"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Settled { state, units, .. } => difference(state, units).map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }
}

/// What differs between what is desired, what is recorded and what runs.
pub(crate) fn difference(state: &State, units: &[UnitProcess]) -> Option<String> {
    let mut running = BTreeMap::<&ActualKey, Vec<InstanceKey>>::new();
    for process in units {
        match &process.unit {
            Unit::Instance { key, instance } => {
                let here = running.entry(key).or_default();
                if !here.contains(instance) {
                    here.push(*instance);
                }
            }
            Unit::Task { .. } => return Some(format!("a task is still done: {process:?}")),
        }
    }
    let waiting =
        |task: &task::Task| matches!(task.phase, task::Phase::Pending | task::Phase::Running { .. });
    if let Some(task) = state.tasks.iter().find(|task| waiting(task)) {
        return Some(format!("a task is not done: {task:?}"));
    }
    for (key, group) in state.lrps.groups() {
        let runs = running.remove(key).unwrap_or_default();
        let is_right = match (&group.instance, runs.as_slice()) {
            _ if group.evacuating.is_some() || !state.lrps.is_desired(key) => false,
            (Some(actual), [one]) => actual.is_running() && actual.instance() == Some(*one),
            (Some(actual), []) => match &actual.phase {
                Phase::Unclaimed { placement_error } => !placement_error.is_empty() && !has_room(state, key),
                _ => false,
            },
            _ => false,
        };
        if !is_right {
            let desired = state.lrps.is_desired(key);
            return Some(format!(
                "{key} (desired: {desired}) runs as {runs:?}, and is recorded as {group:?}"
            ));
        }
    }
    let missing = state.lrps.all_desired().find_map(|desired| {
        let keys = (0..desired.instances()).map(|index| ActualKey::new(&desired.guid, index));
        keys.into_iter().find(|key| state.lrps.group(key).is_none())
    });
    if let Some(key) = missing {
        return Some(format!("{key} is desired and has no record"));
    }
    running.into_iter().next().map(|(key, runs)| format!("{key} runs as {runs:?} and is not recorded"))
}

/// Whether a cell could take this index, by sums of its own.
fn has_room(state: &State, key: &ActualKey) -> bool {
    let (Some(desired), Some(group)) = (state.lrps.desired(key.guid.as_str()), state.lrps.group(key)) else {
        return false;
    };
    let Some(actual) = &group.instance else { return false };
    state.lrps.cells().filter(|(_, cell)| !cell.silent && !cell.evacuating).any(|(_, cell)| {
        let mut used = used(state, cell);
        used.take(actual.needs);
        cell.rootfs.provide(&desired.definition.rootfs) && used.is_within(cell.capacity)
    })
}

/// What instances and tasks take of a cell, counted one by one.
pub(super) fn used(state: &State, cell: &Cell) -> Used {
    let mut used = Used::default();
    for (_, group) in state.lrps.groups() {
        for (_, actual) in group.records() {
            if actual.instance().is_some_and(|instance| instance.cell == cell.incarnation) {
                used.take(actual.needs);
            }
        }
    }
    for task in state.tasks.iter() {
        if task.phase == (task::Phase::Running { cell: cell.incarnation }) {
            used.take(task.definition.needs());
        }
    }
    used
}
