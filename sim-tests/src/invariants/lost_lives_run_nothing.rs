//! A life is declared lost only once the lease must have ended everything it ran.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{event::Event, ids::Incarnation};

use super::Invariant;
use crate::{oracle::Observation, processes::Process};

/// From its being declared lost on, no process of a life runs.
#[derive(Default)]
pub(crate) struct LostLivesRunNothing {
    running: BTreeMap<(Incarnation, String), Process>,
    lost: BTreeSet<Incarnation>,
}

impl Invariant for LostLivesRunNothing {
    fn name(&self) -> &'static str {
        "nothing of a life runs any more when it is declared lost"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::ProcessStarted { process } => {
                self.running.insert(name(process), (*process).clone());
                if self.lost.contains(&process.incarnation) {
                    return Err(format!("{process:?} starts after its life was lost"));
                }
            }
            Observation::ProcessEnded { process, .. } => {
                self.running.remove(&name(process));
            }
            Observation::Committed(committed) => {
                for event in &committed.events {
                    let Event::NodeLost { incarnation } = event else { continue };
                    self.lost.insert(*incarnation);
                    if let Some(runs) = self.running.values().find(|it| it.incarnation == *incarnation) {
                        return Err(format!(
                            "{incarnation} is lost at {}, and {runs:?} runs",
                            committed.index
                        ));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn name(process: &Process) -> (Incarnation, String) {
    (process.incarnation, process.key.to_string())
}
