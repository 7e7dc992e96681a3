//! P7: a cell is never given more than it has, and nothing is given to one that takes nothing.

use std::collections::BTreeMap;

use capstan_model::{
    event::Event,
    ids::Incarnation,
    lrp::{actual::Phase, cell::Cell, event::LrpEvent},
    task::{self, TaskEvent},
};

use super::{Invariant, instances_match_desires::used};
use crate::{ledger::Committed, oracle::Observation};

/// What is placed fits, on a cell that is there.
#[derive(Default)]
pub(crate) struct CapacityIsKept {
    /// The cells that live, as the log tells of them.
    cells: BTreeMap<Incarnation, Cell>,
}

impl Invariant for CapacityIsKept {
    fn name(&self) -> &'static str {
        "a cell is given no more than it has, and only while it takes anything"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let mut has_placed = false;
        for event in &committed.events {
            let placed = match event {
                Event::Lrp(LrpEvent::CellChanged(cell)) => {
                    self.cells.insert(cell.incarnation, (**cell).clone());
                    None
                }
                Event::Lrp(LrpEvent::CellEnded { incarnation }) => {
                    self.cells.remove(incarnation);
                    None
                }
                Event::Lrp(LrpEvent::ActualChanged { before, after, .. }) => {
                    match (&before.phase, &after.phase) {
                        (Phase::Unclaimed { .. }, Phase::Claimed { instance, .. }) => Some(instance.cell),
                        _ => None,
                    }
                }
                Event::Task(TaskEvent::Changed { after, .. }) => match after.phase {
                    task::Phase::Running { cell } => Some(cell),
                    _ => None,
                },
                _ => None,
            };
            let Some(life) = placed else { continue };
            has_placed = true;
            let is_drained = [&committed.before, &committed.after].iter().all(|state| {
                let node = state.nodes.get(&life.node);
                node.is_none_or(|node| node.draining || node.leaving)
            });
            if is_drained || !self.cells.get(&life).is_some_and(|cell| !cell.silent && !cell.evacuating) {
                return Err(format!("at {} {life:?} is given {event:?}", committed.index));
            }
        }
        if has_placed { overfull(committed) } else { Ok(()) }
    }
}

fn overfull(committed: &Committed) -> Result<(), String> {
    let state = &committed.after;
    for (node, cell) in state.lrps.cells() {
        let used = used(state, cell);
        if !used.is_within(cell.capacity) {
            return Err(format!(
                "at {} cell {node} has {:?} and {used:?} is used",
                committed.index, cell.capacity
            ));
        }
    }
    Ok(())
}
