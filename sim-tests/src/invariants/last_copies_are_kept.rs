//! P3: who evacuates a cell starts another copy of an instance before the last healthy one is given up.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    command::Command,
    event::Event,
    lrp::{
        actual::{Actual, ActualKey, InstanceKey, Phase, Presence},
        command::LrpCommand,
        event::LrpEvent,
    },
};

use super::Invariant;
use crate::{
    instances::{EndedBy, Unit},
    ledger::Committed,
    oracle::Observation,
};

/// A healthy instance leaves the records only when it is gone, its cell is, or another one runs; and no cell ends what the records want.
#[derive(Default)]
pub(crate) struct LastCopiesAreKept {
    /// Instances that are recorded and not to be stopped.
    wanted: BTreeSet<u128>,
    /// Instances that were ever checked: they may be ended for being unhealthy.
    checked: BTreeSet<u128>,
}

impl Invariant for LastCopiesAreKept {
    fn name(&self) -> &'static str {
        "a healthy instance is given up only when it is gone, or another one runs"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Committed(committed) => self.heed(committed),
            Observation::UnitStarted { process } => {
                if let (true, Unit::Instance { instance, .. }) = (process.is_check, &process.unit) {
                    self.checked.insert(instance.instance_guid);
                }
                Ok(())
            }
            Observation::UnitEnded { process, by: EndedBy::Cell } => match &process.unit {
                Unit::Instance { instance, .. }
                    if self.wanted.contains(&instance.instance_guid)
                        && !self.checked.contains(&instance.instance_guid) =>
                {
                    Err(format!("{process:?} was ended by its cell, and is wanted"))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl LastCopiesAreKept {
    fn heed(&mut self, committed: &Committed) -> Result<(), String> {
        let mut kept = BTreeMap::new();
        let mut given_up = Vec::new();
        for event in &committed.events {
            let Event::Lrp(event) = event else { continue };
            match event {
                LrpEvent::ActualCreated { key, presence, actual } => {
                    self.wanted.extend(guid(actual));
                    if *presence == Presence::Evacuating {
                        kept.insert(key, actual.instance());
                    }
                }
                LrpEvent::ActualChanged { key, before, after, .. } => {
                    self.wanted.extend(guid(after));
                    if before.instance() != after.instance() {
                        guid(before).map(|guid| self.wanted.remove(&guid));
                        given_up.extend(healthy(before).map(|instance| (key, instance)));
                    }
                }
                LrpEvent::ActualRemoved { key, actual, .. } => {
                    guid(actual).map(|guid| self.wanted.remove(&guid));
                    given_up.extend(healthy(actual).map(|instance| (key, instance)));
                }
                LrpEvent::StopAsked { key, presence, .. } => {
                    let record = committed.before.lrps.group(key).and_then(|group| group.get(*presence));
                    record.and_then(|actual| guid(actual)).map(|guid| self.wanted.remove(&guid));
                }
                _ => {}
            }
        }
        for (key, instance) in given_up {
            let is_kept = kept.get(key).is_some_and(|it| *it == Some(instance));
            if is_kept {
                self.wanted.insert(instance.instance_guid);
            } else if !may_go(committed, key, instance) {
                return Err(format!(
                    "at {} {instance:?} of {key} is given up: {:?}",
                    committed.index, committed.events
                ));
            }
        }
        Ok(())
    }
}

fn guid(actual: &Actual) -> Option<u128> {
    actual.instance().filter(|_| actual.stopping().is_none()).map(|instance| instance.instance_guid)
}

fn healthy(actual: &Actual) -> Option<InstanceKey> {
    actual.instance().filter(|_| actual.is_running())
}

/// Whether an instance is said to be gone, its cell is, or another one of its index has become healthy.
fn may_go(committed: &Committed, key: &ActualKey, gone: InstanceKey) -> bool {
    let is_told = committed.commands.iter().any(|(command, reply)| match command {
        Command::Lrp(LrpCommand::Crashed { instance, .. } | LrpCommand::Stopped { instance, .. }) => {
            *instance == gone && reply.is_ok()
        }
        _ => false,
    });
    let is_replaced = committed.events.iter().any(|event| match event {
        Event::Lrp(LrpEvent::ActualChanged { key: of, after, .. }) => {
            of == key && matches!(after.phase, Phase::Running { instance, .. } if instance != gone)
        }
        _ => false,
    });
    let is_cell_gone =
        [&committed.before, &committed.after].iter().any(|state| !state.lrps.is_present(gone.cell));
    is_told || is_replaced || is_cell_gone
}
