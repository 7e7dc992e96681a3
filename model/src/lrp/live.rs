//! All LRPs, and how events change them, their rows and their indexes.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use imbl::OrdMap;

use super::{
    actual::{Actual, ActualKey, Group, Presence},
    cell::{Cell, Used},
    counts::Counts,
    definition::Definition,
    desired::Desired,
    domain::Domains,
    event::LrpEvent,
    guid::{Guid, ProcessGuid},
    indexes::Indexes,
    live_rows::{actual_key, cell_key, changeable_key, definition_key, domain_key},
};
use crate::{
    ids::{Incarnation, NodeId},
    rows::RowSink,
    time::Timestamp,
};

/// What is desired and what there is of it, by guid; cells and domains.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Lrps {
    pub(super) desired: OrdMap<ProcessGuid, Arc<Desired>>,
    pub(super) actual: OrdMap<ActualKey, Group>,
    /// Fresh domains.
    pub domains: Domains,
    pub(super) cells: OrdMap<NodeId, Arc<Cell>>,
    pub(super) indexes: Indexes,
    /// Rows of definitions whose other row has not come yet; empty outside a load.
    pub(super) loading: BTreeMap<ProcessGuid, Definition>,
}

/// A record, and where it stands.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Its index.
    pub key: &'a ActualKey,
    /// Which of the two.
    pub presence: Presence,
    /// What it is.
    pub actual: &'a Arc<Actual>,
}

impl Lrps {
    /// The desired LRP of this name.
    pub fn desired(&self, guid: &str) -> Option<&Arc<Desired>> {
        self.desired.get(guid)
    }

    /// All that are desired, by guid.
    pub fn all_desired(&self) -> impl Iterator<Item = &Arc<Desired>> {
        self.desired.values()
    }

    /// All that are desired behind this guid, by guid; all of them, if there is none. It need not be a legal one.
    pub fn desired_after(&self, after: Option<&str>) -> impl Iterator<Item = &Arc<Desired>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.desired.range::<_, str>((from, Bound::Unbounded)).map(|(_, desired)| desired)
    }

    /// How many are desired.
    pub fn desired_len(&self) -> usize {
        self.desired.len()
    }

    /// How many there are.
    pub fn counts(&self) -> Counts {
        self.indexes.counts
    }

    /// The records of one index.
    pub fn group(&self, key: &ActualKey) -> Option<&Group> {
        self.actual.get(key)
    }

    /// The records of one LRP, by index.
    pub fn groups_of(&self, guid: &ProcessGuid) -> impl Iterator<Item = (&ActualKey, &Group)> {
        self.groups_from(ActualKey::new(guid, 0))
    }

    /// The records of one LRP from one index on.
    pub(super) fn groups_from(&self, from: ActualKey) -> impl Iterator<Item = (&ActualKey, &Group)> {
        let guid = from.guid.clone();
        self.actual.range(from..).take_while(move |(key, _)| key.guid == guid)
    }

    /// All records, by guid and index.
    pub fn groups(&self) -> impl Iterator<Item = (&ActualKey, &Group)> {
        self.actual.iter()
    }

    /// All records behind this index, by guid and index; of all, if there is none.
    pub fn groups_after(&self, after: Option<&ActualKey>) -> impl Iterator<Item = (&ActualKey, &Group)> {
        let from = after.map_or(Bound::Unbounded, |key| Bound::Excluded(key.clone()));
        self.actual.range((from, Bound::Unbounded))
    }

    /// The records on a cell in one life, by guid and index: what should run there, or be stopped.
    pub fn on_cell(&self, cell: Incarnation) -> impl Iterator<Item = Record<'_>> {
        self.indexes.on_cell(cell).filter_map(|(_, key, presence)| self.record(key, *presence))
    }

    /// The indices that wait to be placed: first those that have not been in an auction, then those that found no cell
    /// before a time, each in the order of their times.
    pub fn unclaimed(&self, failed_before: Timestamp) -> impl Iterator<Item = Record<'_>> {
        let again = self.indexes.unplaced.iter().take_while(move |(since, _)| *since < failed_before);
        let keys = self.indexes.waiting.iter().chain(again).map(|(_, key)| key);
        keys.filter_map(|key| self.record(key, Presence::Ordinary))
    }

    /// The indices that found no cell, those first that have waited longest.
    pub fn unplaced(&self) -> impl Iterator<Item = Record<'_>> {
        self.indexes.unplaced.iter().filter_map(|(_, key)| self.record(key, Presence::Ordinary))
    }

    /// Since when the index that was first refused by an auction waits.
    pub fn first_unplaced(&self) -> Option<Timestamp> {
        self.indexes.unplaced.get_min().map(|(since, _)| *since)
    }

    /// What instances take of a cell in one life.
    pub fn used(&self, cell: Incarnation) -> Used {
        self.indexes.used.get(&cell).copied().unwrap_or_default()
    }

    /// All cells that have announced themselves and whose nodes live on, by node.
    pub fn cells(&self) -> impl Iterator<Item = (NodeId, &Cell)> {
        self.cells.iter().map(|(node, cell)| (*node, &**cell))
    }

    /// The cell of a life, if its node still lives it.
    pub fn cell_of(&self, life: Incarnation) -> Option<&Cell> {
        self.cells.get(&life.node).map(|cell| &**cell).filter(|cell| cell.incarnation == life)
    }

    /// Whether a cell still has what it was given.
    pub fn is_present(&self, life: Incarnation) -> bool {
        self.cell_of(life).is_some_and(|cell| !cell.silent)
    }

    /// How many instances of it an LRP is to have; an index from this on is not desired.
    pub(super) fn instances(&self, guid: &ProcessGuid) -> u32 {
        self.desired(guid.as_str()).map_or(0, |desired| desired.instances())
    }

    /// Whether this index is to have an instance.
    pub fn is_desired(&self, key: &ActualKey) -> bool {
        key.index < self.instances(&key.guid)
    }

    pub(super) fn record<'a>(&'a self, key: &'a ActualKey, presence: Presence) -> Option<Record<'a>> {
        let actual = self.actual.get(key)?.get(presence)?;
        Some(Record { key, presence, actual })
    }

    /// Applies one event, and tells the sink which rows that changes.
    pub(crate) fn evolve(&mut self, event: &LrpEvent, sink: &mut RowSink) {
        self.evolve_into(event, Some(sink));
    }

    /// Applies one event to a copy that no rows are kept of.
    pub(super) fn rehearse(&mut self, event: &LrpEvent) {
        self.evolve_into(event, None);
    }

    fn evolve_into(&mut self, event: &LrpEvent, sink: Option<&mut RowSink>) {
        match event {
            LrpEvent::DesiredCreated(desired) => self.set_desired(&desired.guid, Some(desired), sink),
            LrpEvent::DesiredChanged { after, .. } => self.set_desired(&after.guid, Some(after), sink),
            LrpEvent::DesiredRemoved(desired) => self.set_desired(&desired.guid, None, sink),
            LrpEvent::ActualCreated { key, presence, actual } => {
                self.set_actual(key, *presence, Some(actual), sink);
            }
            LrpEvent::ActualChanged { key, presence, before, after } => {
                let (from, to) = (&before.phase, &after.phase);
                assert!(from.may_become(to), "record {key} went from {from:?} to {to:?}");
                self.set_actual(key, *presence, Some(after), sink);
            }
            LrpEvent::ActualRemoved { key, presence, .. } => self.set_actual(key, *presence, None, sink),
            LrpEvent::StopAsked { key, presence, cause } => {
                let record = self.record(key, *presence).expect("only an instance that exists is stopped");
                let asked = Arc::new(record.actual.asked_to_stop(*cause));
                self.set_actual(key, *presence, Some(&asked), sink);
            }
            LrpEvent::DomainFresh { domain, until } => {
                let before = self.domains.set(domain, *until);
                if let Some(sink) = sink {
                    sink.replace(&domain_key(domain), before.as_ref(), Some(until));
                }
            }
            LrpEvent::DomainExpired { domain } => {
                let before = self.domains.remove(domain);
                if let Some(sink) = sink {
                    sink.replace(&domain_key(domain), before.as_ref(), None);
                }
            }
            LrpEvent::CellChanged(cell) => self.set_cell(cell.incarnation.node, Some(cell), sink),
            LrpEvent::CellEnded { incarnation } => self.set_cell(incarnation.node, None, sink),
        }
    }

    fn set_desired(&mut self, guid: &Guid, now: Option<&Arc<Desired>>, sink: Option<&mut RowSink>) {
        let before = match now {
            Some(desired) => self.desired.insert(guid.clone(), desired.clone()),
            None => self.desired.remove(guid),
        };
        let instances = |desired: &Arc<Desired>| u64::from(desired.instances());
        self.indexes.counts.desired_instances += now.map_or(0, instances);
        self.indexes.counts.desired_instances -= before.as_ref().map_or(0, instances);
        let Some(sink) = sink else { return };
        let definition = |desired: &Arc<Desired>| desired.definition.clone();
        let (old, new) = (before.as_ref().map(definition), now.map(definition));
        // The definition is immutable, and may be large: it is not even encoded again.
        if old.is_some() != new.is_some() {
            sink.replace(&definition_key(guid), old.as_deref(), new.as_deref());
        }
        let row = |desired: &Arc<Desired>| desired.row();
        sink.replace(&changeable_key(guid), before.as_ref().map(row).as_ref(), now.map(row).as_ref());
    }

    fn set_actual(
        &mut self,
        key: &ActualKey,
        presence: Presence,
        now: Option<&Arc<Actual>>,
        sink: Option<&mut RowSink>,
    ) {
        let group = self.actual.entry(key.clone()).or_default();
        let before = std::mem::replace(group.slot(presence), now.cloned());
        if group.is_empty() {
            self.actual.remove(key);
        }
        if let Some(before) = &before {
            self.indexes.remove(key, presence, before);
        }
        if let Some(now) = now {
            self.indexes.add(key, presence, now);
        }
        if let Some(sink) = sink {
            sink.replace(&actual_key(key, presence), before.as_deref(), now.map(|now| &**now));
        }
    }

    fn set_cell(&mut self, node: NodeId, now: Option<&Arc<Cell>>, sink: Option<&mut RowSink>) {
        let before = match now {
            Some(cell) => self.cells.insert(node, cell.clone()),
            None => self.cells.remove(&node),
        };
        if let Some(sink) = sink {
            sink.replace(&cell_key(node), before.as_deref(), now.map(|now| &**now));
        }
    }

    /// What the indexes must be.
    pub(super) fn rebuild_indexes(&self) -> Indexes {
        let mut indexes = Indexes::default();
        let instances = self.desired.values().map(|desired| u64::from(desired.instances()));
        indexes.counts.desired_instances = instances.sum();
        for (key, group) in &self.actual {
            group.records().for_each(|(presence, actual)| indexes.add(key, presence, actual));
        }
        indexes
    }
}
