//! Why something goes where it goes: what each cell has to say to it.

use std::sync::Arc;

use super::{
    bid::{Auction, Resource, Spread, Standing},
    score::score,
    work::{Item, Work},
};
use crate::ids::Incarnation;

/// What one cell has to say to a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The cell.
    pub life: Incarnation,
    /// Where it stands.
    pub zone: Arc<str>,
    /// How many instances of the LRP its zone has; zero of a task.
    pub in_zone: u32,
    /// How many instances of the LRP, or tasks, it has itself.
    pub mates: u32,
    /// Whether it would take it.
    pub reason: Reason,
}

/// Whether a cell would take a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It would, at this score; the lowest in the zones with the fewest instances gets it.
    Fits {
        /// In units of 1 / 2^20 of a resource, three of which are taken in full by each mate.
        score: u64,
    },
    /// It is not heard.
    Silent,
    /// It is drained.
    Evacuating,
    /// It does not provide the rootfs.
    Rootfs,
    /// It has no room.
    Lacks(Vec<Resource>),
}

/// The verdicts of all cells, in their order.
pub fn explain(auction: &Auction, work: &Work) -> Vec<Verdict> {
    let none = Spread::default();
    let spread = match &work.item {
        Item::Instance { key, .. } => auction.instances.get(&key.guid).unwrap_or(&none),
        Item::Task { .. } => &none,
    };
    let cells = auction.cells.iter().enumerate();
    let verdicts = cells.map(|(place, cell)| {
        let mates = match &work.item {
            Item::Instance { .. } => spread.on_cell(place),
            Item::Task { .. } => cell.tasks,
        };
        let lacks: Vec<Resource> = cell.lacks(work.needs).collect();
        let reason = match cell.standing {
            Standing::Silent => Reason::Silent,
            Standing::Evacuating => Reason::Evacuating,
            Standing::Open if !cell.rootfs.provide(&work.rootfs) => Reason::Rootfs,
            Standing::Open if !lacks.is_empty() => Reason::Lacks(lacks),
            Standing::Open => Reason::Fits { score: score(cell, work.needs, mates) },
        };
        let in_zone = spread.in_zone(auction.zone_of(place));
        Verdict { life: cell.life, zone: cell.zone.clone(), in_zone, mates, reason }
    });
    verdicts.collect()
}
