//! What is recorded of a try is what its process did.

use std::collections::BTreeMap;

use capstan_model::{command::Command, workflow::command::TryEnd};
use capstan_node::{executor::TryKey, guardian::protocol::End};

use super::Invariant;
use crate::oracle::Observation;

/// The exit status in an accepted report is that of the process, which has ended.
#[derive(Default)]
pub(crate) struct EndsAreTrue {
    ends: BTreeMap<TryKey, Option<End>>,
    running: BTreeMap<TryKey, u64>,
}

impl Invariant for EndsAreTrue {
    fn name(&self) -> &'static str {
        "a try is recorded as its process ended"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::ProcessStarted { process } => {
                self.running.insert(process.key, process.node);
            }
            Observation::ProcessEnded { process, end, .. } => {
                self.running.remove(&process.key);
                self.ends.insert(process.key, *end);
            }
            Observation::Committed(committed) => {
                for (command, reply) in &committed.commands {
                    let (Command::FinishTry(finish), Ok(_)) = (command, reply) else { continue };
                    let (id, report) = (finish.id, &finish.report);
                    let (request, job, try_no, epoch) = (id.request, id.job, id.try_no, id.epoch);
                    let key = TryKey { request, job, try_no, epoch };
                    if let Some(node) = self.running.get(&key) {
                        return Err(format!("{key} is recorded as {report:?}, and runs on node {node}"));
                    }
                    let Some(end) = self.ends.get(&key) else { continue };
                    let is_true = match end {
                        Some(End::Exited(0)) => report.exit == 0,
                        Some(End::Exited(code)) => report.exit == i64::from(*code),
                        Some(End::Signalled(number)) => report.exit == 128 + i64::from(*number),
                        Some(End::NotStarted(_)) => report.exit == 1,
                        None => false,
                    };
                    let completes = report.end == TryEnd::Complete;
                    if !is_true || completes && *end != Some(End::Exited(0)) {
                        return Err(format!("{key} is recorded as {report:?}, and ended as {end:?}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
