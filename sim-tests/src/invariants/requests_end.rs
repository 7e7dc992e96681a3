//! J6: in a healed cluster every request ends, and nothing is left running.

use super::Invariant;
use crate::oracle::Observation;

/// A settled world has no live request and no process.
#[derive(Default)]
pub(crate) struct RequestsEnd;

impl Invariant for RequestsEnd {
    fn name(&self) -> &'static str {
        "in a healed cluster every request ends, and nothing is left running"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Settled { state, processes, .. } = observation else { return Ok(()) };
        if let Some(live) = state.requests.iter().next() {
            let (count, progress) = (state.requests.len(), &live.progress);
            let jobs: Vec<_> =
                live.jobs().map(|(spec, job)| (&*spec.name, job.phase, job.try_no.0)).collect();
            return Err(format!("{count} requests have not, the first: {progress:?}, {jobs:?}"));
        }
        match processes.first() {
            Some(process) => Err(format!("{} processes run, the first: {process:?}", processes.len())),
            None => Ok(()),
        }
    }
}
