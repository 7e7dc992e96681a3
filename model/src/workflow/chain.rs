//! The immutable part of a request: its jobs, their order, and the sequences they belong to.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    chain_checks::{check_acyclic, check_ends, check_sequences, check_ways_in_and_out, count_parents},
    job,
    json::JsonMap,
    nesting::Nesting,
    parallel::{self, ParallelPlace, ParallelSpec},
};
use crate::{ids::JobId, spec::Wait};

/// The most jobs of one request.
pub const JOBS_MAX: usize = 10_000;

/// A job chain that holds what everything downstream relies on: unique ids in order, one source, one sink, no
/// cycle, sequences that enclose each other and are entered and left at one job each, and expansions that stand side by
/// side. Decoding checks it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ChainParts", into = "ChainParts")]
pub struct ValidChain {
    jobs: Vec<JobSpec>,
    sequences: Vec<SequenceSpec>,
    /// By place: how many jobs a job directly depends on.
    parents: Vec<u32>,
    source: JobPlace,
    nesting: Nesting,
    parallels: parallel::Parallels,
    /// Sorted; without `noop`, which every node can run.
    job_types: JobTypes,
}

/// The job types of a chain, sorted; shared, since they are also what waiting requests are found by.
pub(super) type JobTypes = Arc<[Arc<str>]>;

/// What a chain is made of, checked or not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainParts {
    /// The jobs, in the order of their ids.
    pub jobs: Vec<JobSpec>,
    /// The sequences, each after the one that encloses it.
    pub sequences: Vec<SequenceSpec>,
    /// Expansions that do not all run at a time.
    pub parallels: Vec<ParallelSpec>,
}

/// A job's position in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobPlace(pub u32);

/// A sequence's position in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SequencePlace(pub u32);

/// One job, as it was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// Its id, unique in the request.
    pub id: JobId,
    /// The node's name; not unique.
    pub name: Arc<str>,
    /// Its job type.
    pub job_type: Arc<str>,
    /// The args it was created with.
    pub args: JsonMap,
    /// What its type's `create` stored for its runs; opaque.
    pub bytes: Bytes,
    /// How often it is tried again, within one try of its sequence.
    pub retry: u32,
    /// The wait between two tries.
    pub retry_wait: Option<Wait>,
    /// Whether it does no harm to run it again when nobody knows how far it came.
    pub idempotent: bool,
    /// The innermost sequence it belongs to.
    pub sequence: SequencePlace,
    /// The jobs that directly depend on it, in order.
    pub successors: Vec<JobPlace>,
}

/// Jobs that are tried again together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceSpec {
    /// Its first job, whose id is the sequence's id.
    pub begin: JobPlace,
    /// The sequence that encloses it; `None` for the request's own.
    pub parent: Option<SequencePlace>,
    /// How often it is tried again.
    pub retry: u32,
    /// The wait between two tries.
    pub retry_wait: Option<Wait>,
}

/// Why parts are not a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChain {
    /// More than [`JOBS_MAX`], or none.
    #[error("a chain of {jobs} jobs; it has 1 to {JOBS_MAX}")]
    JobCount {
        /// How many.
        jobs: usize,
    },
    /// Ids are not strictly ascending.
    #[error("job {job} is out of order or there twice")]
    Order {
        /// The job.
        job: JobId,
    },
    /// A successor is no job of the chain, or there twice.
    #[error("job {job} has an impossible successor")]
    Successor {
        /// The job.
        job: JobId,
    },
    /// Not exactly one job without parents, or not exactly one without successors.
    #[error("a chain has one source and one sink, this one has {sources} and {sinks}")]
    Ends {
        /// Jobs without parents.
        sources: usize,
        /// Jobs without successors.
        sinks: usize,
    },
    /// A job depends on itself through others.
    #[error("the chain has a cycle")]
    Cycle,
    /// A job's sequence does not exist, a sequence is not enclosed by an earlier one, begins with a job of
    /// another, or is entered or left at several jobs.
    #[error("the chain's sequences do not enclose each other")]
    Sequences,
    /// What is to run in parallel does not stand side by side.
    #[error("the expansions after job {begin} do not stand side by side")]
    Parallel {
        /// The job before them.
        begin: JobId,
    },
}

impl JobPlace {
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

impl SequencePlace {
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

impl ValidChain {
    /// The jobs, in the order of their ids.
    pub fn jobs(&self) -> &[JobSpec] {
        &self.jobs
    }

    /// How many jobs it has.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Never: a chain has a source.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The places of all jobs, in order.
    pub fn places(&self) -> impl Iterator<Item = JobPlace> + use<> {
        (0..u32::try_from(self.jobs.len()).expect("a chain is bounded")).map(JobPlace)
    }

    /// The place of a job.
    pub fn place(&self, job: JobId) -> Option<JobPlace> {
        let at = self.jobs.binary_search_by_key(&job, |spec| spec.id).ok()?;
        Some(JobPlace(u32::try_from(at).expect("a chain is bounded")))
    }

    /// The job at a place of this chain.
    pub fn job(&self, place: JobPlace) -> &JobSpec {
        &self.jobs[place.at()]
    }

    /// The id of a job's sequence: that of the sequence's first job.
    pub fn sequence_id(&self, job: &JobSpec) -> JobId {
        self.job(self.sequence(job.sequence).begin).id
    }

    /// The sequence at a place of this chain.
    pub fn sequence(&self, place: SequencePlace) -> &SequenceSpec {
        &self.sequences[place.at()]
    }

    /// The places of all sequences, in order.
    pub fn sequences(&self) -> impl Iterator<Item = SequencePlace> + use<> {
        (0..u32::try_from(self.sequences.len()).expect("sequences are fewer than jobs")).map(SequencePlace)
    }

    /// The sequences around a job, the innermost first.
    pub fn enclosing(&self, job: JobPlace) -> impl Iterator<Item = SequencePlace> + '_ {
        let innermost = self.job(job).sequence;
        std::iter::successors(Some(innermost), |sequence| self.sequence(*sequence).parent)
    }

    /// The jobs of a sequence and of those it encloses.
    pub fn members(&self, sequence: SequencePlace) -> &[JobPlace] {
        self.nesting.members(sequence)
    }

    /// Whether a sequence is another, or encloses it.
    pub fn encloses(&self, outer: SequencePlace, inner: SequencePlace) -> bool {
        self.nesting.encloses(outer, inner)
    }

    /// Expansions that do not all run at a time.
    pub(super) fn parallels(&self) -> &parallel::Parallels {
        &self.parallels
    }

    /// The expansions at a place of this chain.
    pub fn parallel(&self, place: ParallelPlace) -> &ParallelSpec {
        self.parallels.spec(place)
    }

    /// The places of all expansions that do not all run at a time.
    pub(super) fn parallel_places(&self) -> impl Iterator<Item = ParallelPlace> + use<> {
        (0..self.parallels.len()).map(ParallelPlace)
    }

    /// How many jobs a job directly depends on.
    pub fn parents(&self, place: JobPlace) -> u32 {
        self.parents[place.at()]
    }

    /// The places of all jobs, each after all it depends on.
    pub fn in_order(&self) -> Vec<JobPlace> {
        let mut left = self.parents.clone();
        let mut order = Vec::with_capacity(self.jobs.len());
        order.push(self.source);
        for at in 0..self.jobs.len() {
            for next in &self.job(order[at]).successors {
                left[next.at()] -= 1;
                if left[next.at()] == 0 {
                    order.push(*next);
                }
            }
        }
        order
    }

    /// The one job that depends on none.
    pub fn source(&self) -> JobPlace {
        self.source
    }

    /// The job types a node must offer to own the chain, sorted; `noop` is not among them.
    pub fn job_types(&self) -> &[Arc<str>] {
        &self.job_types
    }

    pub(super) fn shared_job_types(&self) -> &JobTypes {
        &self.job_types
    }
}

impl TryFrom<ChainParts> for ValidChain {
    type Error = InvalidChain;

    fn try_from(ChainParts { jobs, sequences, parallels }: ChainParts) -> Result<Self, InvalidChain> {
        if jobs.is_empty() || jobs.len() > JOBS_MAX {
            return Err(InvalidChain::JobCount { jobs: jobs.len() });
        }
        if let Some(pair) = jobs.windows(2).find(|pair| pair[0].id >= pair[1].id) {
            return Err(InvalidChain::Order { job: pair[1].id });
        }
        check_sequences(&jobs, &sequences)?;
        let parents = count_parents(&jobs)?;
        let source = check_ends(&jobs, &parents)?;
        check_acyclic(&jobs, &parents, source)?;
        check_ways_in_and_out(&jobs, &sequences)?;
        let parallels = parallel::Parallels::new(parallels, &jobs, &sequences, &parents)?;
        let nesting = Nesting::new(&jobs, &sequences);
        let job_types: BTreeSet<&Arc<str>> = jobs.iter().map(|job| &job.job_type).collect();
        let job_types = job_types.into_iter().filter(|kind| !job::is_noop(kind)).cloned().collect();
        Ok(Self { jobs, sequences, parents, source, nesting, parallels, job_types })
    }
}

impl From<ValidChain> for ChainParts {
    fn from(chain: ValidChain) -> Self {
        Self { jobs: chain.jobs, sequences: chain.sequences, parallels: chain.parallels.into_specs() }
    }
}
