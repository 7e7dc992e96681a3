//! Cells: nodes as hosts of instances and tasks, and what becomes of one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Lrps, actual::Needs, event::LrpEvent, isolation::Isolation};
use crate::{
    ids::{Incarnation, NodeId},
    nodes::NodeRecord,
    rejection::Rejection,
    state::State,
};

/// A cell, as it announced itself in one life of its node, and what the cluster thinks of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// The life; what it was given in an earlier one is lost.
    pub incarnation: Incarnation,
    /// Where it stands; instances of an LRP are spread over zones.
    pub zone: Arc<str>,
    /// What it has in all.
    pub capacity: Capacity,
    /// What it can start instances from.
    pub rootfs: RootfsProviders,
    /// How far it keeps them apart.
    pub isolation: Isolation,
    /// Whether it is silent: its instances are placed elsewhere, and nothing is placed on it.
    pub silent: bool,
    /// Whether its node is drained or leaving: as above, but each of its instances goes on until another runs.
    pub evacuating: bool,
}

/// What a cell has in all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// In MiB.
    pub memory_mb: u32,
    /// In MiB.
    pub disk_mb: u32,
    /// How many instances and tasks at a time.
    pub containers: u32,
}

/// What of it is taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// In MiB.
    pub memory_mb: u64,
    /// In MiB.
    pub disk_mb: u64,
    /// How many instances and tasks.
    pub containers: u64,
}

/// What a cell can start instances from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootfsProviders {
    /// The names it knows of the scheme `preloaded`.
    pub preloaded: Vec<Arc<str>>,
    /// The other schemes, of which it takes whatever they name.
    pub schemes: Vec<Arc<str>>,
}

/// What a cell says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// The life of its node.
    pub incarnation: Incarnation,
    /// Where it stands.
    pub zone: Arc<str>,
    /// What it has in all.
    pub capacity: Capacity,
    /// What it can start instances from.
    pub rootfs: RootfsProviders,
    /// How far it keeps them apart.
    pub isolation: Isolation,
}

impl std::ops::Add for Used {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            memory_mb: self.memory_mb + more.memory_mb,
            disk_mb: self.disk_mb + more.disk_mb,
            containers: self.containers + more.containers,
        }
    }
}

impl Used {
    /// Whether less is taken of anything than was before.
    pub fn leaves_more_than(self, before: Self) -> bool {
        self.memory_mb < before.memory_mb
            || self.disk_mb < before.disk_mb
            || self.containers < before.containers
    }

    /// Takes one container of these needs.
    pub fn take(&mut self, needs: Needs) {
        self.memory_mb += u64::from(needs.memory_mb);
        self.disk_mb += u64::from(needs.disk_mb);
        self.containers += 1;
    }

    pub(crate) fn give_back(&mut self, needs: Needs) {
        self.memory_mb -= u64::from(needs.memory_mb);
        self.disk_mb -= u64::from(needs.disk_mb);
        self.containers -= 1;
    }

    /// Whether a cell has as much.
    pub fn is_within(&self, capacity: Capacity) -> bool {
        self.memory_mb <= u64::from(capacity.memory_mb)
            && self.disk_mb <= u64::from(capacity.disk_mb)
            && self.containers <= u64::from(capacity.containers)
    }
}

impl Cell {
    /// Whether instances and tasks may be placed on it.
    pub fn is_available(&self) -> bool {
        !self.silent && !self.evacuating
    }
}

impl RootfsProviders {
    /// Whether an instance can be started from this URL.
    pub fn provide(&self, rootfs: &str) -> bool {
        match rootfs.split_once(':') {
            Some(("preloaded", name)) => self.preloaded.iter().any(|known| **known == *name),
            Some((scheme, _)) => self.schemes.iter().any(|known| **known == *scheme),
            None => false,
        }
    }
}

/// Decides on `AnnounceCell`: only of the newest life of a node that is not lost. A repeat changes nothing.
pub(super) fn announce(state: &State, announced: &Announcement) -> Result<Vec<LrpEvent>, Rejection> {
    let incarnation = announced.incarnation;
    let node = current_life(state, incarnation)?;
    if state.lrps.cell_of(incarnation).is_some() {
        return Ok(vec![]);
    }
    sometimes!("a cell announces itself while its node is drained", node.draining);
    let cell = Cell {
        incarnation,
        zone: announced.zone.clone(),
        capacity: announced.capacity,
        rootfs: announced.rootfs.clone(),
        isolation: announced.isolation.clone(),
        silent: false,
        evacuating: node.draining || node.leaving,
    };
    Ok(vec![LrpEvent::CellChanged(Arc::new(cell))])
}

/// Decides on `CellSilent`, under the same rule as the loss of a node; a life that is over changes nothing.
pub(super) fn silent(state: &State, life: Incarnation, term: u64) -> Result<Vec<LrpEvent>, Rejection> {
    if term != state.term() {
        return Err(Rejection::OtherTerm { given: term, now: state.term() });
    }
    Ok(changed(&state.lrps, life, |cell| cell.silent = true))
}

/// Decides on `CellHeard`; a life that is over changes nothing.
pub(super) fn heard(state: &State, life: Incarnation) -> Vec<LrpEvent> {
    let is_silent = state.lrps.cell_of(life).is_some_and(|cell| cell.silent);
    let has_any = state.lrps.on_cell(life).next().is_some();
    sometimes!("a silent cell is heard again before all on it is replaced", is_silent && has_any);
    sometimes!("a silent cell is heard again after all on it was replaced", is_silent && !has_any);
    changed(&state.lrps, life, |cell| cell.silent = mutant!("heard-cell-stays-silent"))
}

/// What it means for a cell that its node has begun another life, or was declared lost.
pub(super) fn ended(lrps: &Lrps, node: NodeId) -> Vec<LrpEvent> {
    let known = lrps.cells.get(&node);
    known.map(|cell| LrpEvent::CellEnded { incarnation: cell.incarnation }).into_iter().collect()
}

/// What it means for a cell that its node is drained, leaving, or no longer drained.
pub(super) fn follow_node(lrps: &Lrps, node: &NodeRecord) -> Vec<LrpEvent> {
    let is_evacuating = (node.draining || node.leaving) && !mutant!("drained-cell-takes-more");
    changed(lrps, node.incarnation, |cell| cell.evacuating = is_evacuating)
}

fn changed(lrps: &Lrps, life: Incarnation, change: impl FnOnce(&mut Cell)) -> Vec<LrpEvent> {
    let Some(before) = lrps.cell_of(life) else { return vec![] };
    let mut after = before.clone();
    change(&mut after);
    if after == *before { vec![] } else { vec![LrpEvent::CellChanged(Arc::new(after))] }
}

fn current_life(state: &State, life: Incarnation) -> Result<&NodeRecord, Rejection> {
    let known = state.nodes.get(&life.node).ok_or(Rejection::NoSuchNode { node: life.node })?;
    let is_current = known.incarnation == life && !known.lost;
    if is_current { Ok(known) } else { Err(Rejection::OldIncarnation { incarnation: life }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rootfs_is_provided_by_its_name_or_by_its_scheme() {
        let cell = RootfsProviders {
            preloaded: ["host", "cflinuxfs2"].map(Arc::from).to_vec(),
            schemes: vec!["docker".into()],
        };
        let cases = [
            ("preloaded:host", true),
            ("preloaded:cflinuxfs2", true),
            ("preloaded:fruitfs", false),
            ("preloaded:", false),
            ("docker:///busybox#latest", true),
            ("docker://registry:5000/busybox", true),
            ("oci:///busybox", false),
            ("docker", false),
        ];
        for (rootfs, provided) in cases {
            assert_eq!(cell.provide(rootfs), provided, "{rootfs}");
        }
    }
}
