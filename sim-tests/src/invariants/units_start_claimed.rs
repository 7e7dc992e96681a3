//! An instance and a task are started at most once, by the cell that was given them, once it knows; and ports are not shared.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    event::Event,
    ids::Incarnation,
    lrp::event::LrpEvent,
    task::{self, TaskEvent},
};

use super::Invariant;
use crate::{
    instances::{Unit, UnitProcess},
    oracle::Observation,
};

/// No process is made for what its node has not seen given to it, none twice, and none on a port of another.
#[derive(Default)]
pub(crate) struct UnitsStartClaimed {
    /// Where each was given to a cell, and at which index.
    given: BTreeMap<Given, (Incarnation, u64)>,
    applied: BTreeMap<u64, u64>,
    /// What nodes that are down had applied: their guardians still hear what they said before.
    last_applied: BTreeMap<u64, u64>,
    started: BTreeSet<(Unit, String)>,
    /// Who has a port of a machine, by machine and port.
    ports: BTreeMap<(u64, u16), (Unit, u32)>,
}

/// Names what is given out.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Given {
    Instance(u128),
    Task(String, capstan_model::time::Timestamp),
}

impl Invariant for UnitsStartClaimed {
    fn name(&self) -> &'static str {
        "an instance or a task is started once, where it was given, on ports of its own"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::Committed(committed) => {
                for event in &committed.events {
                    let given = match event {
                        Event::Lrp(LrpEvent::ActualChanged { after, .. }) => after
                            .instance()
                            .map(|instance| (Given::Instance(instance.instance_guid), instance.cell)),
                        Event::Task(TaskEvent::Changed { after, .. }) => match after.phase {
                            task::Phase::Running { cell } => {
                                Some((Given::Task(after.guid.to_string(), after.created_at), cell))
                            }
                            _ => None,
                        },
                        _ => None,
                    };
                    if let Some((given, cell)) = given {
                        self.given.entry(given).or_insert((cell, committed.index));
                    }
                }
            }
            Observation::Applied { node, index, .. } => {
                self.applied.insert(*node, *index);
            }
            Observation::Published { node, state, .. } => {
                let applied = self.applied.entry(*node).or_default();
                *applied = state.index().max(*applied);
            }
            Observation::Crashed { node, .. } => {
                self.last_applied.extend(self.applied.remove(node).map(|index| (*node, index)));
            }
            Observation::UnitStarted { process } => return self.started(process),
            Observation::UnitEnded { process, .. } => self.give_ports_back(process),
            _ => {}
        }
        Ok(())
    }
}

impl UnitsStartClaimed {
    fn started(&mut self, process: &UnitProcess) -> Result<(), String> {
        let name = match &process.unit {
            Unit::Instance { instance, .. } => Given::Instance(instance.instance_guid),
            Unit::Task { guid, created_at } => Given::Task(guid.to_string(), *created_at),
        };
        let applied = self.applied.get(&process.node).or(self.last_applied.get(&process.node));
        let applied = applied.copied().unwrap_or(0);
        let given = self.given.get(&name);
        if !given.is_some_and(|(cell, index)| *cell == process.incarnation && *index <= applied) {
            return Err(format!("{process:?} starts at index {applied}, and was given out as {given:?}"));
        }
        if !process.is_check && !self.started.insert((process.unit.clone(), process.program.to_string())) {
            return Err(format!("{process:?} was started before"));
        }
        for port in &process.ports {
            let holder = self.ports.entry((process.node, *port)).or_insert((process.unit.clone(), 0));
            if holder.0 != process.unit {
                return Err(format!("{process:?} starts on a port of {}", holder.0));
            }
            holder.1 += 1;
        }
        Ok(())
    }

    fn give_ports_back(&mut self, process: &UnitProcess) {
        for port in &process.ports {
            let key = (process.node, *port);
            if let Some((_, processes)) = self.ports.get_mut(&key) {
                *processes -= 1;
                if *processes == 0 {
                    self.ports.remove(&key);
                }
            }
        }
    }
}
