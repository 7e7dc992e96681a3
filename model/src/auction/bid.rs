//! Cells as an auction sees them, and what of them the auction has given away so far.

use std::{collections::BTreeMap, sync::Arc};

use super::work::Work;
use crate::{
    ids::Incarnation,
    lrp::{
        Lrps,
        actual::Needs,
        cell::{Capacity, Cell, RootfsProviders, Used},
        guid::ProcessGuid,
    },
    state::State,
};

/// A cell in an auction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bidder {
    /// The cell.
    pub life: Incarnation,
    /// Where it stands.
    pub zone: Arc<str>,
    /// What it has in all.
    pub capacity: Capacity,
    /// What of it is taken.
    pub used: Used,
    /// What it can start from.
    pub rootfs: RootfsProviders,
    /// How many tasks it runs.
    pub tasks: u32,
    /// Whether it takes anything.
    pub standing: Standing,
}

/// Whether a cell takes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Open,
    /// It is not heard.
    Silent,
    /// It is drained.
    Evacuating,
}

/// What a cell can lack, in the order in which an error lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resource {
    /// A free container.
    Containers,
    /// Disk.
    Disk,
    /// Memory.
    Memory,
}

/// All cells, and where the instances of the LRPs are that the auction is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Auction {
    /// In the order of their lives, by which ties are broken.
    pub(super) cells: Vec<Bidder>,
    /// The zones of cells, in order.
    pub(super) zones: Vec<Arc<str>>,
    /// By LRP: its instances on open cells.
    pub(super) instances: BTreeMap<ProcessGuid, Spread>,
}

/// How the instances of an LRP are spread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Spread {
    /// By place of a cell; absent is none.
    by_cell: BTreeMap<usize, u32>,
    /// By place of a zone; absent is none.
    by_zone: BTreeMap<usize, u32>,
}

impl Auction {
    /// An auction among these cells, on which no LRP has an instance yet.
    pub fn new(cells: impl IntoIterator<Item = Bidder>) -> Self {
        let mut cells: Vec<Bidder> = cells.into_iter().collect();
        cells.sort_by_key(|cell| cell.life);
        let mut zones: Vec<Arc<str>> = cells.iter().map(|cell| cell.zone.clone()).collect();
        zones.sort();
        zones.dedup();
        Self { cells, zones, instances: BTreeMap::new() }
    }

    /// An auction among the cells of State.
    pub fn of(state: &State) -> Self {
        Self::new(state.lrps.cells().map(|(_, cell)| Bidder::of(state, cell)))
    }

    /// Counts the instances of an LRP on open cells, those that evacuate included; once is enough.
    pub fn count(&mut self, lrps: &Lrps, guid: &ProcessGuid) {
        if self.instances.contains_key(guid) {
            return;
        }
        self.instances.insert(guid.clone(), Spread::default());
        for (_, group) in lrps.groups_of(guid) {
            for instance in group.records().filter_map(|(_, actual)| actual.instance()) {
                self.count_one(guid, instance.cell);
            }
        }
    }

    /// Counts one instance of an LRP.
    pub fn count_one(&mut self, guid: &ProcessGuid, life: Incarnation) {
        let found = self.cells.binary_search_by_key(&life, |cell| cell.life);
        if let Some(cell) = found.ok().filter(|cell| self.cells[*cell].standing == Standing::Open) {
            let zone = self.zone_of(cell);
            self.instances.entry(guid.clone()).or_default().add(cell, zone);
        }
    }

    /// The cells after what was given away.
    pub fn cells(&self) -> &[Bidder] {
        &self.cells
    }

    /// The place of a cell's zone.
    pub(super) fn zone_of(&self, cell: usize) -> usize {
        let zone = &self.cells[cell].zone;
        self.zones.binary_search(zone).expect("the zone of every cell is listed")
    }
}

impl Spread {
    pub(super) fn add(&mut self, cell: usize, zone: usize) {
        *self.by_cell.entry(cell).or_insert(0) += 1;
        *self.by_zone.entry(zone).or_insert(0) += 1;
    }

    pub(super) fn on_cell(&self, cell: usize) -> u32 {
        self.by_cell.get(&cell).copied().unwrap_or(0)
    }

    pub(super) fn in_zone(&self, zone: usize) -> u32 {
        self.by_zone.get(&zone).copied().unwrap_or(0)
    }
}

impl Bidder {
    fn of(state: &State, cell: &Cell) -> Self {
        let standing = match cell {
            Cell { silent: true, .. } => Standing::Silent,
            Cell { evacuating: true, .. } => Standing::Evacuating,
            _ => Standing::Open,
        };
        Self {
            life: cell.incarnation,
            zone: cell.zone.clone(),
            capacity: cell.capacity,
            used: state.used(cell.incarnation),
            rootfs: cell.rootfs.clone(),
            tasks: state.tasks.count_on(cell.incarnation),
            standing,
        }
    }

    /// Whether it could take this work.
    pub(super) fn has_room(&self, work: &Work) -> bool {
        self.standing == Standing::Open
            && self.rootfs.provide(&work.rootfs)
            && self.lacks(work.needs).next().is_none()
    }

    /// What it lacks for one more container of these needs, in order; nothing when it fits.
    pub(super) fn lacks(&self, needs: Needs) -> impl Iterator<Item = Resource> {
        let (used, capacity) = (self.used, self.capacity);
        let over = |used: u64, more: u64, capacity: u32| used + more > u64::from(capacity);
        [
            (Resource::Containers, over(used.containers, 1, capacity.containers)),
            (Resource::Disk, over(used.disk_mb, needs.disk_mb.into(), capacity.disk_mb)),
            (
                Resource::Memory,
                over(used.memory_mb, needs.memory_mb.into(), capacity.memory_mb)
                    && !mutant!("auction-ignores-memory"),
            ),
        ]
        .into_iter()
        .filter_map(|(resource, lacks)| lacks.then_some(resource))
    }
}

impl Resource {
    /// Its name in errors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }
}
