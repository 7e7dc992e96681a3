//! The jobs of a request in the making, before their ids put them in order.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;

use super::{BuildError, error::DRAWS_MAX};
use crate::{
    command::COMMAND_BYTES_MAX,
    ids::JobId,
    spec::{Backoff, Wait},
    workflow::{
        chain::{ChainParts, JOBS_MAX, JobPlace, JobSpec, SequencePlace, SequenceSpec, ValidChain},
        json::{self, JsonMap},
        parallel::{Expansion, ParallelSpec},
        terms::{JobTerms, Terms},
    },
};

/// What a job takes in a command beside its names, args and bytes, at most.
const JOB_BYTES: usize = 32;
/// What a wait or a factor takes beside its text, at most: whose it is, and how long the text is.
const WAIT_BYTES: usize = 8;

/// Jobs, their order, and their sequences. A job's place is where it stands here, until the chain is put in order.
pub(super) struct Plan<D> {
    draw_id: D,
    jobs: Vec<NewJob>,
    ids: BTreeSet<JobId>,
    sequences: Vec<SequenceSpec>,
    backoffs: BTreeMap<SequencePlace, Backoff>,
    parallels: Vec<ParallelSpec>,
    /// What the jobs hold, in bytes.
    bytes: usize,
}

/// A job in the making.
struct NewJob {
    spec: JobSpec,
    terms: JobTerms,
    successors: BTreeSet<usize>,
}

/// The first and the last job of something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) first: usize,
    pub(super) last: usize,
}

impl<D: FnMut() -> JobId> Plan<D> {
    /// No jobs; `draw_id` draws an id at random.
    pub(super) fn new(draw_id: D) -> Self {
        Self {
            draw_id,
            jobs: Vec::new(),
            ids: BTreeSet::new(),
            sequences: Vec::new(),
            backoffs: BTreeMap::new(),
            parallels: Vec::new(),
            bytes: 0,
        }
    }

    /// Refuses what would become more jobs than a request has, before any of them is made.
    pub(super) fn reserve(&self, jobs: usize) -> Result<(), BuildError> {
        if self.jobs.len().saturating_add(jobs) > JOBS_MAX { Err(BuildError::TooManyJobs) } else { Ok(()) }
    }

    /// Counts what is kept for the request, and refuses what would not fit a command.
    pub(super) fn keep(&mut self, bytes: usize) -> Result<(), BuildError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > COMMAND_BYTES_MAX { Err(BuildError::TooLarge) } else { Ok(()) }
    }

    pub(super) fn add_job(
        &mut self,
        name: &Arc<str>,
        job_type: &Arc<str>,
        sequence: SequencePlace,
        args: JsonMap,
    ) -> Result<usize, BuildError> {
        self.reserve(1)?;
        self.keep(JOB_BYTES + name.len() + job_type.len() + json::size(&args))?;
        let spec = JobSpec {
            id: self.free_id()?,
            name: name.clone(),
            job_type: job_type.clone(),
            args,
            bytes: Bytes::new(),
            retry: 0,
            retry_wait: None,
            idempotent: false,
            sequence,
            successors: Vec::new(),
        };
        self.jobs.push(NewJob { spec, terms: JobTerms::default(), successors: BTreeSet::new() });
        Ok(self.jobs.len() - 1)
    }

    fn free_id(&mut self) -> Result<JobId, BuildError> {
        let drawn =
            std::iter::repeat_with(&mut self.draw_id).take(DRAWS_MAX).find(|id| !self.ids.contains(id));
        let id = drawn.ok_or(BuildError::NoJobId)?;
        self.ids.insert(id);
        Ok(id)
    }

    /// Adds the pair of `noop`s around something.
    pub(super) fn add_wrappers(&mut self, name: &str, sequence: SequencePlace) -> Result<Span, BuildError> {
        let mut wrapper = |end: &str| {
            self.add_job(&format!("{name}_{end}").into(), &"noop".into(), sequence, JsonMap::new())
        };
        Ok(Span { first: wrapper("begin")?, last: wrapper("end")? })
    }

    /// Lets one job depend on another.
    pub(super) fn link(&mut self, before: usize, behind: usize) {
        self.jobs[before].successors.insert(behind);
    }

    pub(super) fn spec(&self, job: usize) -> &JobSpec {
        &self.jobs[job].spec
    }

    pub(super) fn spec_mut(&mut self, job: usize) -> &mut JobSpec {
        &mut self.jobs[job].spec
    }

    /// The place of the next sequence.
    pub(super) fn next_sequence(&self) -> SequencePlace {
        SequencePlace(u32::try_from(self.sequences.len()).expect("sequences are fewer than jobs"))
    }

    /// Sets how long each try of a job may run, and how the wait between them grows.
    pub(super) fn set_terms(&mut self, job: usize, terms: JobTerms) -> Result<(), BuildError> {
        self.keep(
            terms.timeout.as_ref().map_or(0, wait_size) + terms.backoff.as_ref().map_or(0, backoff_size),
        )?;
        self.jobs[job].terms = terms;
        Ok(())
    }

    /// Sets how often a job is tried again, and after which wait.
    pub(super) fn set_retry(&mut self, job: usize, retry: u32, wait: Option<Wait>) -> Result<(), BuildError> {
        self.keep(wait.as_ref().map_or(0, wait_size))?;
        let spec = &mut self.jobs[job].spec;
        (spec.retry, spec.retry_wait) = (retry, wait);
        Ok(())
    }

    pub(super) fn add_sequence(
        &mut self,
        sequence: SequenceSpec,
        backoff: Option<Backoff>,
    ) -> Result<(), BuildError> {
        self.keep(
            sequence.retry_wait.as_ref().map_or(0, wait_size) + backoff.as_ref().map_or(0, backoff_size),
        )?;
        let place = self.next_sequence();
        self.backoffs.extend(backoff.map(|backoff| (place, backoff)));
        self.sequences.push(sequence);
        Ok(())
    }

    /// Lets at most `running_max` of the expansions behind a job run at a time.
    pub(super) fn add_parallel(&mut self, begin: usize, running_max: u32, expansions: &[Span]) {
        let expansions = expansions
            .iter()
            .map(|span| Expansion { first: unordered(span.first), last: unordered(span.last) })
            .collect();
        self.parallels.push(ParallelSpec { begin: unordered(begin), running_max, expansions });
    }

    /// Puts the jobs in the order of their ids; the terms of the request itself are not known here.
    pub(super) fn into_chain(self) -> (ValidChain, Terms) {
        let Self { jobs, mut sequences, backoffs, mut parallels, .. } = self;
        let mut order: Vec<usize> = (0..jobs.len()).collect();
        order.sort_by_key(|at| jobs[*at].spec.id);
        let mut places = vec![JobPlace(0); jobs.len()];
        for (place, at) in order.iter().enumerate() {
            places[*at] = unordered(place);
        }
        let ordered = |place: JobPlace| places[place.0 as usize];
        for sequence in &mut sequences {
            sequence.begin = ordered(sequence.begin);
        }
        for parallel in &mut parallels {
            parallel.begin = ordered(parallel.begin);
            for expansion in &mut parallel.expansions {
                *expansion = Expansion { first: ordered(expansion.first), last: ordered(expansion.last) };
            }
        }
        let with_terms = jobs.iter().enumerate().filter(|(_, job)| job.terms != JobTerms::default());
        let job_terms = with_terms.map(|(at, job)| (places[at], job.terms.clone())).collect();
        let terms = Terms { jobs: job_terms, sequences: backoffs, ..Terms::default() };
        let mut specs: Vec<JobSpec> = jobs
            .into_iter()
            .map(|NewJob { spec, terms: _, successors }| {
                let mut successors: Vec<JobPlace> = successors.into_iter().map(|at| places[at]).collect();
                successors.sort_unstable();
                JobSpec { successors, ..spec }
            })
            .collect();
        specs.sort_by_key(|spec| spec.id);
        let chain = ValidChain::try_from(ChainParts { jobs: specs, sequences, parallels })
            .expect("a builder builds valid chains");
        (chain, terms)
    }
}

/// What a wait takes in a command: it is kept as it was written.
fn wait_size(wait: &Wait) -> usize {
    WAIT_BYTES + wait.text().len()
}

fn backoff_size(backoff: &Backoff) -> usize {
    WAIT_BYTES + backoff.wait_max.as_ref().map_or(0, wait_size)
}

/// Where a job stands, as a place; the order of ids comes later.
pub(super) fn unordered(job: usize) -> JobPlace {
    JobPlace(u32::try_from(job).expect("jobs are bounded"))
}
