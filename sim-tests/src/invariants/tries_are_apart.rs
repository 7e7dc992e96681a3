//! J8: two tries of a job never run at the same time, whoever runs them.

use std::collections::BTreeMap;

use capstan_model::ids::{JobId, RequestId};

use super::Invariant;
use crate::{oracle::Observation, processes::Process};

/// The true processes of one job are disjoint in time.
#[derive(Default)]
pub(crate) struct TriesAreApart {
    running: BTreeMap<(RequestId, JobId), Process>,
}

impl Invariant for TriesAreApart {
    fn name(&self) -> &'static str {
        "two tries of a job never run at the same time"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        match observation {
            Observation::ProcessStarted { process } => {
                let job = (process.key.request, process.key.job);
                match self.running.insert(job, (*process).clone()) {
                    Some(other) => Err(format!("{process:?} starts while {other:?} runs")),
                    None => Ok(()),
                }
            }
            Observation::ProcessEnded { process, .. } => {
                self.running.remove(&(process.key.request, process.key.job));
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
