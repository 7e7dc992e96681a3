//! J4 for job data: a job has what the jobs before it handed on, and what its own tries did. In a request that goes on with a finished one it
//! begins with what it had there.

use std::collections::BTreeMap;

use capstan_model::{
    ids::RequestId,
    workflow::{
        chain::{JobPlace, ValidChain},
        event::{AfterTry, WorkflowEvent},
        json::JsonMap,
        terms::{RetryOf, Terms},
    },
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// Follows all data along the chains.
#[derive(Default)]
pub(crate) struct DataIsHandedOn {
    claims: Claims,
    data: BTreeMap<RequestId, BTreeMap<JobPlace, JsonMap>>,
    /// That of finished requests.
    last: BTreeMap<RequestId, BTreeMap<JobPlace, JsonMap>>,
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
            let data = self.data.entry(event.request()).or_default();
            match event {
                WorkflowEvent::RequestCreated { request, terms, .. } => {
                    if let Some(first) = first_data(&self.last, &self.claims, &request.chain, terms) {
                        *data = first;
                    }
                }
                WorkflowEvent::TryStarted { request, job, .. } => started.push((*request, *job)),
                WorkflowEvent::TryEnded(ended) => {
                    let (request, job) = (ended.request, ended.job);
                    let own = data.entry(job).or_default();
                    own.extend(ended.report.job_data.clone());
                    if ended.then == AfterTry::Complete {
                        let own = own.clone();
                        for successor in &self.claims.created(request).chain.job(job).successors {
                            data.entry(*successor).or_default().extend(own.clone());
                        }
                    }
                }
                WorkflowEvent::RequestEnded { request, .. } => {
                    self.last.insert(*request, std::mem::take(data));
                }
                _ => {}
            }
        }
        for (request, job) in started {
            let Some(live) = committed.after.requests.get(&request) else { continue };
            let of_request = self.data.get(&request);
            let expected = of_request.and_then(|data| data.get(&job)).cloned().unwrap_or_default();
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

/// What the jobs of a request begin with that goes on with a finished one: all that each had there, if the chain is the same. When the
/// graph was built anew only what is kept has data, found again by the names of the jobs; what comes after it is handed that.
fn first_data(
    last: &BTreeMap<RequestId, BTreeMap<JobPlace, JsonMap>>,
    claims: &Claims,
    chain: &ValidChain,
    terms: &Terms,
) -> Option<BTreeMap<JobPlace, JsonMap>> {
    let RetryOf { request, kept } = terms.retry_of.as_ref()?;
    let (old, had) = (&claims.created(*request).chain, last.get(request)?);
    if chain == old {
        return Some(had.clone());
    }
    let find = |job: JobPlace| old.places().find(|place| names(old, *place) == names(chain, job));
    let mut data: BTreeMap<JobPlace, JsonMap> =
        kept.iter().filter_map(|job| Some((*job, had.get(&find(*job)?)?.clone()))).collect();
    for job in kept {
        let handed_on = data.get(job).cloned().unwrap_or_default();
        for next in chain.job(*job).successors.iter().filter(|next| !kept.contains(next)) {
            data.entry(*next).or_default().extend(handed_on.clone());
        }
    }
    Some(data)
}

/// The names of a job and of the sequences around it. No clients ask for other args where these are not unique.
fn names(chain: &ValidChain, job: JobPlace) -> Vec<&str> {
    let begins = chain.enclosing(job).map(|sequence| chain.sequence(sequence).begin);
    std::iter::once(job).chain(begins).map(|place| &*chain.job(place).name).collect()
}
