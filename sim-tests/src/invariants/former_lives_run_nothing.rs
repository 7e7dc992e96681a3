//! A life is over for the cluster only when nothing it ran is left: it is declared lost once its lease must have ended everything, and
//! its node joins anew once the guardian has.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    event::Event,
    ids::{Incarnation, NodeId},
};

use super::Invariant;
use crate::{oracle::Observation, processes::Process};

/// From its being declared lost or its node's joining anew on, no process of a life runs.
#[derive(Default)]
pub(crate) struct FormerLivesRunNothing {
    running: BTreeMap<(Incarnation, String), Process>,
    newest: BTreeMap<NodeId, Incarnation>,
    over: BTreeSet<Incarnation>,
    /// Set once leases promise nothing any more.
    is_off: bool,
}

impl Invariant for FormerLivesRunNothing {
    fn name(&self) -> &'static str {
        "nothing of a life runs any more when it is declared lost or its node joins anew"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::ProcessStarted { process } => {
                self.running.insert(name(process), (*process).clone());
                if self.over.contains(&process.incarnation) {
                    return Err(format!("{process:?} starts after its life was over"));
                }
            }
            Observation::ProcessEnded { process, .. } => {
                self.running.remove(&name(process));
            }
            Observation::Committed(committed) => {
                for event in &committed.events {
                    let over = match event {
                        Event::NodeLost { incarnation } => (!self.is_off).then_some(*incarnation),
                        Event::NodeJoined(joined) => self.newest.insert(joined.node(), joined.incarnation),
                        _ => None,
                    };
                    self.over.extend(over);
                    if let Some(runs) = self.running.values().find(|it| Some(it.incarnation) == over) {
                        return Err(format!("at {} its life is over, and {runs:?} runs", committed.index));
                    }
                }
            }
            Observation::LeasesOff { .. } => self.is_off = true,
            _ => {}
        }
        Ok(())
    }
}

fn name(process: &Process) -> (Incarnation, String) {
    (process.incarnation, process.key.to_string())
}
