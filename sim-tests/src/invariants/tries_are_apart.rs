//! J8: two tries of a job never run at the same time, whoever runs them. Leases promise it as long as no machine stands still with its guardian
//! and all clocks run at nearly the same rate.

use std::collections::BTreeMap;

use capstan_model::ids::{JobId, RequestId};

use super::Invariant;
use crate::{oracle::Observation, processes::Process};

/// The true processes of one job are disjoint in time.
#[derive(Default)]
pub(crate) struct TriesAreApart {
    running: BTreeMap<(RequestId, JobId), Process>,
    /// Set once leases promise nothing any more.
    is_off: bool,
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
                    Some(_) if self.is_off => Ok(()),
                    Some(other) => Err(format!("{process:?} starts while {other:?} runs")),
                    None => Ok(()),
                }
            }
            Observation::ProcessEnded { process, .. } => {
                self.running.remove(&(process.key.request, process.key.job));
                Ok(())
            }
            Observation::LeasesOff { .. } => {
                self.is_off = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
