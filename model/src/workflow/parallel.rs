//! Expansions of which only so many run at a time: what the chain says of them, and how far they have come.
//!
//! They are admitted in the order of their list. A place becomes free when an expansion *completes*; once one has
//! failed for good, no further one is admitted.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::chain::{InvalidChain, JobPlace, JobSpec, SequenceSpec};

/// Expansions between one job before and one behind them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParallelSpec {
    /// The job before them all.
    pub begin: JobPlace,
    /// How many run at a time; at least one.
    pub running_max: u32,
    /// The expansions, in the order of their list.
    pub expansions: Vec<Expansion>,
}

/// The first and the last job of one expansion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expansion {
    /// The job it starts with; it comes directly after the one before them all.
    pub first: JobPlace,
    /// The job with which it is complete.
    pub last: JobPlace,
}

/// The position of a [`ParallelSpec`] in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ParallelPlace(pub u32);

/// How far expansions have come: one row, absent while none is admitted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParallelProgress {
    /// How many may run or have run, counted from the first.
    pub admitted: u32,
    /// How many of them are complete.
    pub complete: u32,
    /// Whether one has failed for good.
    pub closed: bool,
}

/// All of a chain's, by what a job is to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Parallels {
    specs: Vec<ParallelSpec>,
    by_begin: BTreeMap<JobPlace, ParallelPlace>,
    by_first: BTreeMap<JobPlace, (ParallelPlace, u32)>,
    by_last: BTreeMap<JobPlace, ParallelPlace>,
}

impl Parallels {
    pub(super) fn new(
        specs: Vec<ParallelSpec>,
        jobs: &[JobSpec],
        sequences: &[SequenceSpec],
        parents: &[u32],
    ) -> Result<Self, InvalidChain> {
        let mut parallels = Self::default();
        let mut lasts = BTreeSet::new();
        for (at, spec) in (0..).map(ParallelPlace).zip(&specs) {
            let Some(begin) = jobs.get(spec.begin.at()) else { return Err(InvalidChain::Sequences) };
            let mut sound = spec.running_max > 0 && !spec.expansions.is_empty();
            sound &= parallels.by_begin.insert(spec.begin, at).is_none();
            for (number, expansion) in (0..).zip(&spec.expansions) {
                sound &= stands_behind(spec.begin, begin, *expansion, jobs, sequences)
                    && parents[expansion.first.at()] == 1
                    && parallels.by_first.insert(expansion.first, (at, number)).is_none()
                    && lasts.insert(expansion.last);
                parallels.by_last.insert(expansion.last, at);
            }
            if !sound {
                return Err(InvalidChain::Parallel { begin: begin.id });
            }
        }
        parallels.specs = specs;
        Ok(parallels)
    }

    pub(super) fn into_specs(self) -> Vec<ParallelSpec> {
        self.specs
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.specs.len()).expect("expansions are fewer than jobs")
    }

    /// Whether there is such a place.
    pub(super) fn holds(&self, place: ParallelPlace) -> bool {
        (place.0 as usize) < self.specs.len()
    }

    pub(super) fn spec(&self, place: ParallelPlace) -> &ParallelSpec {
        &self.specs[place.0 as usize]
    }

    /// Those that start once this job is complete.
    pub(super) fn behind(&self, job: JobPlace) -> Option<ParallelPlace> {
        self.by_begin.get(&job).copied()
    }

    /// Those of which an expansion starts with this job, and its number.
    pub(super) fn started_by(&self, job: JobPlace) -> Option<(ParallelPlace, u32)> {
        self.by_first.get(&job).copied()
    }

    /// Those of which an expansion is complete with this job.
    pub(super) fn ended_by(&self, job: JobPlace) -> Option<ParallelPlace> {
        self.by_last.get(&job).copied()
    }
}

/// Whether an expansion comes directly after a job and is one job beside it, or a whole sequence.
fn stands_behind(
    place: JobPlace,
    begin: &JobSpec,
    Expansion { first, last }: Expansion,
    jobs: &[JobSpec],
    sequences: &[SequenceSpec],
) -> bool {
    let (Some(first_job), Some(last_job)) = (jobs.get(first.at()), jobs.get(last.at())) else { return false };
    let sequence = &sequences[first_job.sequence.at()];
    let is_job = first == last && first_job.sequence == begin.sequence && first != place;
    let is_sequence = sequence.begin == first
        && sequence.parent == Some(begin.sequence)
        && last_job.sequence == first_job.sequence;
    (is_job || is_sequence) && begin.successors.binary_search(&first).is_ok()
}

impl ParallelProgress {
    /// How many expansions may be admitted now, counted from the first.
    pub(super) fn admissible(self, spec: &ParallelSpec) -> u32 {
        let count = u32::try_from(spec.expansions.len()).expect("a chain is bounded");
        if self.closed && !mutant!("failed-expansion-ignored") {
            return self.admitted;
        }
        let running_max = spec.running_max + u32::from(mutant!("parallel-off-by-one"));
        self.admitted.max(self.complete.saturating_add(running_max).min(count))
    }
}
