//! What a cell reports of an instance or a task is so: nothing of it is left when it is said to be over.

use std::collections::BTreeMap;

use capstan_model::{command::Command, lrp::command::LrpCommand, task::command::TaskCommand};

use super::Invariant;
use crate::{
    instances::{Unit, UnitProcess},
    oracle::Observation,
};

/// The end of something is committed only when no process of it runs, and its health only when one was started.
#[derive(Default)]
pub(crate) struct CellsReportTruly {
    /// What runs, by instance, and by task and cell.
    running: BTreeMap<String, Vec<UnitProcess>>,
}

impl Invariant for CellsReportTruly {
    fn name(&self) -> &'static str {
        "an end is committed of an instance or a task when nothing of it runs"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::UnitStarted { process } => {
                self.running.entry(name(process)).or_default().push((*process).clone());
            }
            Observation::UnitEnded { process, .. } => {
                if let Some(running) = self.running.get_mut(&name(process)) {
                    let place = running.iter().position(|it| it == *process);
                    place.map(|place| running.swap_remove(place));
                }
            }
            Observation::Committed(committed) => {
                for (command, reply) in &committed.commands {
                    let over = match command {
                        Command::Lrp(
                            LrpCommand::Crashed { instance, .. } | LrpCommand::Stopped { instance, .. },
                        ) => format!("{:x}", instance.instance_guid),
                        Command::Task(TaskCommand::Ended { guid, cell, .. }) => format!("{guid} {cell:?}"),
                        _ => continue,
                    };
                    let left = self.running.get(&over).and_then(|running| running.first());
                    if let (Some(left), true) = (left, reply.is_ok()) {
                        return Err(format!("at {}: {command:?}, and {left:?} runs", committed.index));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn name(process: &UnitProcess) -> String {
    match &process.unit {
        Unit::Instance { instance, .. } => format!("{:x}", instance.instance_guid),
        Unit::Task { guid, .. } => format!("{guid} {:?}", process.incarnation),
    }
}
