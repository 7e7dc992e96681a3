//! P7 for where: an index goes to a zone with the fewest instances of its LRP that has room, and there to a cell with the fewest.

use std::collections::BTreeMap;

use capstan_model::{
    event::Event,
    ids::Incarnation,
    lrp::{
        actual::{Actual, ActualKey, Phase, Presence},
        cell::Cell,
        event::LrpEvent,
    },
    state::State,
};

use super::{Invariant, instances_match_desires::used};
use crate::{ledger::Committed, oracle::Observation};

/// Judges every placement that was planned from the very state in which it is done: where nothing about LRPs, cells or tasks has happened between
/// the last change of the index and its placement, and nothing else is placed with it.
#[derive(Default)]
pub(crate) struct InstancesAreSpread {
    /// The last index at which anything happened that an auction looks at.
    changed: u64,
    /// The index at which each record got its present form.
    formed: BTreeMap<ActualKey, u64>,
}

impl Invariant for InstancesAreSpread {
    fn name(&self) -> &'static str {
        "an index is placed where the fewest of its LRP are"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let judged = self.judge(committed);
        for event in &committed.events {
            if let Event::Lrp(
                LrpEvent::ActualCreated { key, presence: Presence::Ordinary, .. }
                | LrpEvent::ActualChanged { key, presence: Presence::Ordinary, .. },
            ) = event
            {
                self.formed.insert(key.clone(), committed.index);
            }
            if matches!(event, Event::Lrp(_) | Event::Task(_)) {
                self.changed = committed.index;
            }
        }
        judged
    }
}

impl InstancesAreSpread {
    fn judge(&self, committed: &Committed) -> Result<(), String> {
        let mut happened =
            committed.events.iter().filter(|event| matches!(event, Event::Lrp(_) | Event::Task(_)));
        let (Some(event), None) = (happened.next(), happened.next()) else { return Ok(()) };
        let Event::Lrp(LrpEvent::ActualChanged { key, before, after, .. }) = event else { return Ok(()) };
        let (Phase::Unclaimed { .. }, Phase::Claimed { instance, .. }) = (&before.phase, &after.phase) else {
            return Ok(());
        };
        if self.formed.get(key) != Some(&self.changed) {
            return Ok(());
        }
        let state = &committed.before;
        let mates = mates(state, key);
        let on = |life: Incarnation| mates.get(&life).copied().unwrap_or(0);
        let open: Vec<&Cell> = open(state, key, before);
        let in_zone = |zone: &str| {
            let cells = state
                .lrps
                .cells()
                .filter(|(_, cell)| !cell.silent && !cell.evacuating && *cell.zone == *zone);
            cells.map(|(_, cell)| on(cell.incarnation)).sum::<usize>()
        };
        let Some(chosen) = open.iter().find(|cell| cell.incarnation == instance.cell) else {
            return Err(format!("at {} {key} goes to {instance:?}, which cannot take it", committed.index));
        };
        let rank = |cell: &Cell| (in_zone(&cell.zone), on(cell.incarnation));
        match open.iter().find(|cell| rank(cell) < rank(chosen)) {
            Some(better) => Err(format!(
                "at {} {key} goes to {instance:?} of rank {:?}, and {:?} has {:?}",
                committed.index,
                rank(chosen),
                better.incarnation,
                rank(better)
            )),
            None => Ok(()),
        }
    }
}

/// How many instances of the same LRP each cell has.
fn mates(state: &State, key: &ActualKey) -> BTreeMap<Incarnation, usize> {
    let mut mates = BTreeMap::new();
    for (_, group) in state.lrps.groups_of(&key.guid) {
        for instance in group.records().filter_map(|(_, actual)| actual.instance()) {
            *mates.entry(instance.cell).or_default() += 1;
        }
    }
    mates
}

/// The cells that can take an index.
fn open<'a>(state: &'a State, key: &ActualKey, actual: &Actual) -> Vec<&'a Cell> {
    let Some(desired) = state.lrps.desired(key.guid.as_str()) else { return Vec::new() };
    let cells = state.lrps.cells().map(|(_, cell)| cell).filter(|cell| !cell.silent && !cell.evacuating);
    let can_take = |cell: &&Cell| {
        let mut used = used(state, cell);
        used.take(actual.needs);
        cell.rootfs.provide(&desired.definition.rootfs) && used.is_within(cell.capacity)
    };
    cells.filter(can_take).collect()
}
