//! J7: what processes did and what is recorded of tries is the same; a try is lost only with the life that ran it.

use std::collections::BTreeMap;

use capstan_model::{
    command::Command,
    ids::Incarnation,
    state::State,
    time::Timestamp,
    workflow::{
        command::{TryEnd, TryReport},
        event::WorkflowEvent,
    },
};
use capstan_node::executor::TryKey;

use super::{
    Invariant,
    claims::{Claims, Try},
};
use crate::oracle::Observation;

/// Every process has a record in the end, every record a process, or a reason why it has none.
#[derive(Default)]
pub(crate) struct TriesAreAccounted {
    claims: Claims,
    processes: BTreeMap<Try, TryKey>,
    /// Tries whose process was reported to have run.
    reported: BTreeMap<Try, String>,
}

impl Invariant for TriesAreAccounted {
    fn name(&self) -> &'static str {
        "every process is recorded, every recorded end had one, and a try is lost only with its life"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::ProcessStarted { process } => {
                let key = process.key;
                self.processes.insert((key.request, key.job, key.try_no), key);
                Ok(())
            }
            Observation::Committed(committed) => {
                let mut first = Ok(());
                for event in committed.workflow() {
                    // What is wrong with the claims themselves is for others to say.
                    drop(self.claims.heed(committed.index, event));
                    let WorkflowEvent::TryEnded(ended) = event else { continue };
                    let spec = self.claims.spec(ended.request, ended.job);
                    let (name, kind) = ((ended.request, spec.id, ended.try_no), &*spec.job_type);
                    if matches!(kind, "noop" | "approval") {
                        continue; // Nothing runs for them.
                    }
                    let reported = committed.commands.iter().find_map(|(command, reply)| match command {
                        Command::FinishTry(finish) if reply.is_ok() => {
                            let (id, report) = (&finish.id, &finish.report);
                            ((id.request, id.job, id.try_no) == name).then_some(report)
                        }
                        _ => None,
                    });
                    match reported {
                        None => first = first.and(self.lost(&name, committed.index, &committed.after)),
                        Some(report) if kind == "shell-command" && has_run(report) => {
                            self.reported.insert(name, format!("{report:?}"));
                        }
                        Some(_) => {}
                    }
                }
                first
            }
            Observation::Settled { .. } => self.settled(),
            _ => Ok(()),
        }
    }
}

impl TriesAreAccounted {
    fn lost(&self, name: &Try, index: u64, after: &State) -> Result<(), String> {
        let owner = self.claims.of(name).map(|claim| claim.owner);
        if owner.is_some_and(|owner| is_over(after, owner)) {
            return Ok(());
        }
        Err(format!("{name:?} is recorded as lost at {index}, and {owner:?} is not"))
    }

    fn settled(&self) -> Result<(), String> {
        let unrecorded =
            self.processes.iter().find(|(name, _)| self.claims.of(name).is_none_or(|it| it.ended.is_none()));
        if let Some((_, key)) = unrecorded {
            return Err(format!("{key} ran, and no end of it is recorded"));
        }
        match self.reported.iter().find(|(name, _)| !self.processes.contains_key(name)) {
            Some((name, report)) => Err(format!("{name:?} did not run, and is recorded as {report}")),
            None => Ok(()),
        }
    }
}

/// Whether a report can only be that of a process: a try that is stopped before it begins has none.
fn has_run(report: &TryReport) -> bool {
    report.started_at != Timestamp::ZERO && report.end != TryEnd::Stopped
}

fn is_over(state: &State, life: Incarnation) -> bool {
    state.nodes.get(&life.node).is_none_or(|record| record.lost || record.incarnation != life)
}
