//! The plan: which cell gets what, and why something goes to none.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    sync::Arc,
};

use super::{
    bid::{Auction, Resource, Spread, Standing},
    score::score,
    work::{Item, Work},
};
use crate::{ids::Incarnation, lrp::actual::Needs};

/// No cell takes anything.
const NO_CELL: &str = "found no compatible cell";
/// No cell provides the rootfs.
const NO_ROOTFS: &str = "found no compatible cell for required rootfs";
/// Cells provide the rootfs, and none has room; followed by what all of them lack.
const NO_ROOM: &str = "insufficient resources";

/// What became of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The work.
    pub item: Item,
    /// The cell that gets it, or why none does, for people.
    pub result: Result<Incarnation, Arc<str>>,
}

/// The cells that provide a rootfs, by the place of their zone.
type Compatible = Rc<BTreeMap<usize, Vec<usize>>>;

/// Gives each piece of work to the cell that suits it best, one after the other: index 0 of every LRP, then tasks, then
/// index 1 and so on; of the same index, what takes most memory first. Work that comes twice counts once.
pub fn plan(auction: &mut Auction, work: Vec<Work>) -> Vec<Outcome> {
    let mut rootfs: BTreeMap<Arc<str>, Compatible> = BTreeMap::new();
    let work = in_order(work).into_iter();
    let outcomes = work.map(|work| {
        let compatible = rootfs.entry(work.rootfs.clone());
        let compatible = compatible.or_insert_with(|| auction.compatible(&work.rootfs)).clone();
        let result = match auction.best(&work, &compatible) {
            Some(cell) => {
                auction.give(cell, &work);
                Ok(auction.cells[cell].life)
            }
            None => Err(auction.why_not(work.needs, &compatible).into()),
        };
        Outcome { item: work.item, result }
    });
    outcomes.collect()
}

fn in_order(mut work: Vec<Work>) -> Vec<Work> {
    work.sort_by_cached_key(|work| (rank(&work.item), Reverse(work.needs.memory_mb), work.item.clone()));
    let mut seen = BTreeSet::new();
    work.retain(|work| {
        seen.insert(match &work.item {
            Item::Instance { key, .. } => (key.guid.clone(), Some(key.index)),
            Item::Task { guid, .. } => (guid.clone(), None),
        })
    });
    work
}

/// Index 0 comes first, tasks next, then the other indices.
fn rank(item: &Item) -> u64 {
    match item {
        Item::Instance { key, .. } if key.index == 0 => 0,
        Item::Task { .. } => 1,
        Item::Instance { key, .. } => u64::from(key.index) + 1,
    }
}

impl Auction {
    fn compatible(&self, rootfs: &str) -> Compatible {
        let mut by_zone: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, cell) in self.cells.iter().enumerate() {
            if cell.standing == Standing::Open && cell.rootfs.provide(rootfs) {
                by_zone.entry(self.zone_of(place)).or_default().push(place);
            }
        }
        Rc::new(by_zone)
    }

    /// The cell that suits best: for an instance in the zone with the fewest of its LRP that has room at all; of several such
    /// zones, and for a task, in all of them.
    fn best(&self, work: &Work, compatible: &Compatible) -> Option<usize> {
        let Item::Instance { key, .. } = &work.item else {
            return self.best_of(compatible.values().flatten(), work.needs, |cell| self.cells[cell].tasks);
        };
        let none = Spread::default();
        let known = self.instances.get(&key.guid).filter(|_| !mutant!("instances-not-spread"));
        let spread = known.unwrap_or(&none);
        let mut zones: Vec<(u32, &Vec<usize>)> =
            compatible.iter().map(|(zone, cells)| (spread.in_zone(*zone), cells)).collect();
        zones.sort_by_key(|(count, _)| *count);
        zones.chunk_by(|left, right| left.0 == right.0).find_map(|tied| {
            let cells = tied.iter().flat_map(|(_, cells)| *cells);
            self.best_of(cells, work.needs, |cell| spread.on_cell(cell))
        })
    }

    /// The cell with the lowest score of those that have room; of equals the first.
    fn best_of<'a>(
        &self,
        cells: impl Iterator<Item = &'a usize>,
        needs: Needs,
        mates: impl Fn(usize) -> u32,
    ) -> Option<usize> {
        let with_room = cells.copied().filter(|cell| self.cells[*cell].lacks(needs).next().is_none());
        with_room.min_by_key(|cell| (score(&self.cells[*cell], needs, mates(*cell)), *cell))
    }

    fn give(&mut self, place: usize, work: &Work) {
        let zone = self.zone_of(place);
        let cell = &mut self.cells[place];
        cell.used.take(work.needs);
        match &work.item {
            Item::Instance { key, .. } => {
                self.instances.entry(key.guid.clone()).or_default().add(place, zone);
            }
            Item::Task { .. } => cell.tasks += 1,
        }
    }

    /// Why no cell has room: what each of those that provide the rootfs lacks.
    fn why_not(&self, needs: Needs, compatible: &Compatible) -> String {
        let mut lacking = compatible.values().flatten().map(|cell| self.cells[*cell].lacks(needs));
        let Some(first) = lacking.next() else {
            let nobody = self.cells.iter().all(|cell| cell.standing != Standing::Open);
            return if nobody { NO_CELL } else { NO_ROOTFS }.to_owned();
        };
        let mut by_all: BTreeSet<Resource> = first.collect();
        for lacks in lacking {
            let lacks: BTreeSet<Resource> = lacks.collect();
            by_all.retain(|resource| lacks.contains(resource));
        }
        if by_all.is_empty() {
            return NO_ROOM.to_owned();
        }
        let names: Vec<&str> = by_all.into_iter().map(Resource::name).collect();
        format!("{NO_ROOM}: {}", names.join(", "))
    }
}
