//! J4 for job data: a job has what the jobs before it handed on, and what its own tries did.

use std::collections::BTreeMap;

use capstan_model::{
    ids::RequestId,
    workflow::{
        chain::JobPlace,
        event::{AfterTry, WorkflowEvent},
        json::JsonMap,
    },
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// Follows all data along the chains.
#[derive(Default)]
pub(crate) struct DataIsHandedOn {
    claims: Claims,
    data: BTreeMap<(RequestId, JobPlace), JsonMap>,
}

impl Invariant for DataIsHandedOn {
    fn name(&self) -> &'static str {
        "a job is given what all jobs before it have handed on"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let mut started = Vec::new();
        for event in committed.workflow() {
            // What is wrong with the claims themselves is for others to say.
            drop(self.claims.heed(committed.index, event));
            match event {
                WorkflowEvent::TryStarted { request, job, .. } => started.push((*request, *job)),
                WorkflowEvent::TryEnded(ended) => {
                    let (request, job) = (ended.request, ended.job);
                    let own = self.data.entry((request, job)).or_default();
                    own.extend(ended.report.job_data.clone());
                    if ended.then == AfterTry::Complete {
                        let own = own.clone();
                        for successor in &self.claims.created(request).chain.job(job).successors {
                            self.data.entry((request, *successor)).or_default().extend(own.clone());
                        }
                    }
                }
                WorkflowEvent::RequestEnded { request, .. } => self.data.retain(|(of, _), _| of != request),
                _ => {}
            }
        }
        for (request, job) in started {
            let Some(live) = committed.after.requests.get(&request) else { continue };
            let expected = self.data.get(&(request, job)).cloned().unwrap_or_default();
            let given = &*live.job_at(job).data;
            if *given != expected {
                let name = &live.chain().job(job).name;
                let found = format!("index {}: request {request} starts {name}", committed.index);
                return Err(format!("{found} with {given:?}, and not {expected:?}"));
            }
        }
        Ok(())
    }
}
