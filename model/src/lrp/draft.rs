//! What follows from a command, worked off on a copy: what comes later in it sees what came before.

use std::sync::Arc;

use super::{
    Lrps,
    actual::{Actual, ActualKey, InstanceKey, Needs, NetInfo, Phase, Presence, StopCause},
    event::LrpEvent,
    guid::ProcessGuid,
    tag::{ModificationTag, Purpose},
};
use crate::{state::State, time::Timestamp};

/// Events, and LRPs as they leave them.
pub(super) struct Draft {
    pub(super) lrps: Lrps,
    pub(super) at: Timestamp,
    events: Vec<LrpEvent>,
}

impl Draft {
    pub(super) fn new(state: &State, at: Timestamp) -> Self {
        Self { lrps: state.lrps.clone(), at, events: vec![] }
    }

    pub(super) fn into_events(self) -> Vec<LrpEvent> {
        self.events
    }

    pub(super) fn record(&mut self, event: LrpEvent) {
        self.lrps.rehearse(&event);
        self.events.push(event);
    }

    /// The record, if there is one.
    pub(super) fn actual(&self, key: &ActualKey, presence: Presence) -> Option<Arc<Actual>> {
        self.lrps.group(key)?.get(presence).cloned()
    }

    /// Creates the records of these indices of a desired LRP, but for those that have one.
    pub(super) fn create_missing(&mut self, guid: &ProcessGuid, indices: std::ops::Range<u32>, draw: u128) {
        for index in indices {
            let key = ActualKey::new(guid, index);
            if self.actual(&key, Presence::Ordinary).is_none() {
                self.create_if_desired(&key, draw);
            }
        }
    }

    /// Creates the ordinary record of an index that has none.
    fn create_if_desired(&mut self, key: &ActualKey, draw: u128) {
        let desired = self.lrps.desired(key.guid.as_str()).filter(|desired| key.index < desired.instances());
        let Some(desired) = desired else { return };
        let definition = &desired.definition;
        let purpose = Purpose::Record { index: key.index, presence: Presence::Ordinary };
        let actual = Actual {
            domain: definition.domain.clone(),
            needs: Needs { memory_mb: definition.memory_mb, disk_mb: definition.disk_mb },
            phase: Phase::unclaimed(),
            crash_count: 0,
            crash_reason: "".into(),
            since: self.at,
            tag: ModificationTag::drawn(draw, &key.guid, purpose),
        };
        let actual = Arc::new(actual);
        self.record(LrpEvent::ActualCreated { key: key.clone(), presence: Presence::Ordinary, actual });
    }

    /// Keeps a running instance in an evacuating record of its own, whose tag says that it is no first form.
    pub(super) fn keep_evacuating(&mut self, key: &ActualKey, running: &Actual, draw: u128) {
        let purpose = Purpose::Record { index: key.index, presence: Presence::Evacuating };
        let tag = ModificationTag::drawn(draw, &key.guid, purpose).next();
        let actual = Arc::new(Actual { since: self.at, tag, ..running.clone() });
        self.record(LrpEvent::ActualCreated { key: key.clone(), presence: Presence::Evacuating, actual });
    }

    /// Changes the ordinary record, under its next tag.
    pub(super) fn change(&mut self, key: &ActualKey, change: impl FnOnce(&mut Actual)) {
        let before = self.actual(key, Presence::Ordinary).expect("only a record that exists changes");
        let mut after = Actual { tag: before.tag.next(), ..(*before).clone() };
        change(&mut after);
        let after = Arc::new(after);
        self.record(LrpEvent::ActualChanged {
            key: key.clone(),
            presence: Presence::Ordinary,
            before,
            after,
        });
    }

    /// Lets an index wait to be placed from now on.
    pub(super) fn unclaim(&mut self, key: &ActualKey) {
        let at = self.at;
        self.change(key, |actual| {
            actual.phase = Phase::unclaimed();
            actual.since = at;
        });
    }

    pub(super) fn claim(&mut self, key: &ActualKey, instance: InstanceKey) {
        self.change(key, |actual| actual.phase = Phase::Claimed { instance, stopping: None });
    }

    /// Notes that an instance is healthy; the one that went on in its stead is over.
    pub(super) fn start(&mut self, key: &ActualKey, instance: InstanceKey, net: &Arc<NetInfo>) {
        let at = self.at;
        self.change(key, |actual| {
            actual.phase = Phase::Running { instance, net: net.clone(), stopping: None };
            actual.since = at;
        });
        if let Some(instance) = self.actual(key, Presence::Evacuating).and_then(|actual| actual.instance()) {
            sometimes!("an evacuating copy goes when another one runs");
            let is_drained = self.lrps.cell_of(instance.cell).is_some_and(|cell| cell.evacuating);
            sometimes!("an evacuating copy outlives its cell's drain", !is_drained);
        }
        if !mutant!("evacuating-never-reaped") {
            self.remove(key, Presence::Evacuating);
        }
    }

    /// Removes a record, if there is one.
    pub(super) fn remove(&mut self, key: &ActualKey, presence: Presence) {
        if let Some(actual) = self.actual(key, presence) {
            self.record(LrpEvent::ActualRemoved { key: key.clone(), presence, actual });
        }
    }

    /// Removes a record of which nothing runs any more; a desired index begins anew.
    pub(super) fn replace(&mut self, key: &ActualKey, presence: Presence, draw: u128) {
        self.remove(key, presence);
        if presence == Presence::Ordinary && !mutant!("index-not-begun-anew") {
            self.create_if_desired(key, draw);
        }
    }

    /// Lets the instance of a record be stopped. Without one, or if its cell is gone, the record is replaced at once.
    pub(super) fn stop(&mut self, key: &ActualKey, presence: Presence, cause: StopCause, draw: u128) {
        let Some(actual) = self.actual(key, presence) else { return };
        match actual.instance() {
            Some(instance) if self.lrps.is_present(instance.cell) => {
                if actual.stopping().is_none() {
                    self.record(LrpEvent::StopAsked { key: key.clone(), presence, cause });
                }
            }
            _ => {
                sometimes!("an index is stopped that runs nowhere");
                self.replace(key, presence, draw);
            }
        }
    }
}
