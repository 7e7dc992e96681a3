//! Expansions: no more at a time than the spec says, and no further one once one has failed for good; and no request ends while one could begin.

use std::collections::{BTreeMap, BTreeSet};

use capstan_model::{
    command::Command,
    ids::RequestId,
    workflow::{
        chain::{ChainParts, JobPlace, SequencePlace},
        event::{AfterTry, WorkflowEvent},
        parallel::ParallelSpec,
    },
};

use super::{Invariant, claims::Claims};
use crate::oracle::Observation;

/// Counts the expansions that have begun and are not complete.
#[derive(Default)]
pub(crate) struct ExpansionsAreBounded {
    claims: Claims,
    requests: BTreeMap<RequestId, Vec<Expansions>>,
    stopped: BTreeSet<RequestId>,
}

/// Expansions of one list.
struct Expansions {
    spec: ParallelSpec,
    /// Whether the job before them is complete.
    is_reached: bool,
    begun: BTreeSet<usize>,
    complete: BTreeSet<usize>,
    is_closed: bool,
}

impl Invariant for ExpansionsAreBounded {
    fn name(&self) -> &'static str {
        "no more expansions run at a time than the spec says"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        let mut first = Ok(());
        for event in committed.workflow() {
            // What is wrong with the claims themselves is for others to say.
            drop(self.claims.heed(committed.index, event));
            let request = event.request();
            match event {
                WorkflowEvent::RequestCreated { request: created, .. } => {
                    let ChainParts { parallels, .. } = created.chain.clone().into();
                    self.requests.insert(request, parallels.into_iter().map(Expansions::new).collect());
                    let kept: Vec<JobPlace> = self.claims.kept(request).collect();
                    for job in kept {
                        self.of(request).for_each(|expansions| expansions.was_complete(job));
                    }
                }
                WorkflowEvent::TryStarted { job, .. } => first = first.and(self.begun(request, *job)),
                WorkflowEvent::TryEnded(ended) => {
                    if &*self.claims.spec(request, ended.job).job_type == "noop" {
                        first = first.and(self.begun(request, ended.job));
                    }
                    if ended.then == AfterTry::Complete {
                        self.of(request).for_each(|expansions| expansions.completed(ended.job));
                    }
                }
                WorkflowEvent::ParallelClosed { parallel, .. } => {
                    if let Some(expansions) = self.of(request).nth(parallel.0 as usize) {
                        expansions.is_closed = true;
                    }
                }
                WorkflowEvent::SequenceReset { sequence, .. } => self.reset(request, *sequence),
                WorkflowEvent::RequestStopped { .. } | WorkflowEvent::RequestTimedOut { .. } => {
                    self.stopped.insert(request);
                }
                WorkflowEvent::RequestEnded { .. } => {
                    let is_given_up = |(command, _): &(Command, _)| matches!(command, Command::EndSuspended { request: of } if *of == request);
                    let may_leave =
                        self.stopped.contains(&request) || committed.commands.iter().any(is_given_up);
                    let left = self.of(request).find(|expansions| expansions.could_begin());
                    if let Some(left) = left.filter(|_| !may_leave) {
                        let begun = left.begun.len();
                        first = first.and(Err(format!("request {request} has ended, {begun} have begun")));
                    }
                    self.requests.remove(&request);
                }
                _ => {}
            }
        }
        first.map_err(|found| format!("index {}: {found}", committed.index))
    }
}

impl ExpansionsAreBounded {
    fn of(&mut self, request: RequestId) -> impl Iterator<Item = &mut Expansions> {
        self.requests.get_mut(&request).into_iter().flatten()
    }

    fn begun(&mut self, request: RequestId, job: JobPlace) -> Result<(), String> {
        let over = self.of(request).find_map(|expansions| expansions.begins(job).err());
        over.map_or(Ok(()), |found| Err(format!("request {request}: {found}")))
    }

    /// A sequence around the job before the expansions begins anew, and they with it.
    fn reset(&mut self, request: RequestId, sequence: SequencePlace) {
        let chain = &self.claims.created(request).chain;
        for expansions in self.requests.get_mut(&request).into_iter().flatten() {
            if chain.encloses(sequence, chain.job(expansions.spec.begin).sequence) {
                *expansions = Expansions::new(expansions.spec.clone());
            }
        }
    }
}

impl Expansions {
    fn new(spec: ParallelSpec) -> Self {
        let (begun, complete) = Default::default();
        Self { spec, is_reached: false, begun, complete, is_closed: false }
    }

    fn begins(&mut self, job: JobPlace) -> Result<(), String> {
        let Some(number) = self.spec.expansions.iter().position(|one| one.first == job) else {
            return Ok(());
        };
        let is_new = self.begun.insert(number);
        let unfinished = self.begun.difference(&self.complete).count();
        let running_max = self.spec.running_max as usize;
        if unfinished > running_max || is_new && self.is_closed {
            let closed = self.is_closed;
            return Err(format!("{unfinished} expansions of at most {running_max} run; closed: {closed}"));
        }
        Ok(())
    }

    /// Whether another one could begin.
    fn could_begin(&self) -> bool {
        let unfinished = self.begun.difference(&self.complete).count();
        let is_left = self.begun.len() < self.spec.expansions.len();
        self.is_reached && is_left && !self.is_closed && unfinished < self.spec.running_max as usize
    }

    /// A job that a request keeps which goes on with another.
    fn was_complete(&mut self, job: JobPlace) {
        self.begun.extend(self.spec.expansions.iter().position(|one| one.first == job));
        self.completed(job);
    }

    fn completed(&mut self, job: JobPlace) {
        self.is_reached |= self.spec.begin == job;
        let number = self.spec.expansions.iter().position(|one| one.last == job);
        self.complete.extend(number);
    }
}
