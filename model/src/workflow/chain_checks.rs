//! What must hold of a chain's jobs, order and sequences before anything relies on it.

use super::chain::{InvalidChain, JobPlace, JobSpec, SequencePlace, SequenceSpec};

pub(super) fn check_sequences(jobs: &[JobSpec], sequences: &[SequenceSpec]) -> Result<(), InvalidChain> {
    let known = |place: SequencePlace| place.at() < sequences.len();
    let begins_itself = |(at, sequence): (usize, &SequenceSpec)| {
        jobs.get(sequence.begin.at()).is_some_and(|begin| begin.sequence.at() == at)
    };
    let enclosed = |(at, sequence): (usize, &SequenceSpec)| match sequence.parent {
        None => at == 0,
        Some(parent) => parent.at() < at,
    };
    let valid = jobs.iter().all(|job| known(job.sequence))
        && sequences.iter().enumerate().all(begins_itself)
        && sequences.iter().enumerate().all(enclosed);
    if valid { Ok(()) } else { Err(InvalidChain::Sequences) }
}

/// A sequence is entered at its first job, and left at its last for the one that encloses it: so what comes after
/// it waits for all of it, and resetting it leaves nothing outside that has begun.
pub(super) fn check_ways_in_and_out(
    jobs: &[JobSpec],
    sequences: &[SequenceSpec],
) -> Result<(), InvalidChain> {
    let parent = |sequence: SequencePlace| sequences[sequence.at()].parent;
    // The sequence in which a job is met by the one before it.
    let met_in = |place: JobPlace| {
        let own = jobs[place.at()].sequence;
        if sequences[own.at()].begin == place { parent(own) } else { Some(own) }
    };
    let mut ends = vec![0_u32; sequences.len()];
    for job in jobs {
        let leaves = job.successors.first().is_none_or(|next| met_in(*next) != Some(job.sequence));
        let goes_to = if leaves { parent(job.sequence) } else { Some(job.sequence) };
        ends[job.sequence.at()] += u32::from(leaves);
        let strays = job.successors.iter().any(|next| met_in(*next) != goes_to);
        let is_stuck = job.successors.is_empty() && goes_to.is_some();
        if strays || is_stuck {
            return Err(InvalidChain::Sequences);
        }
    }
    if ends.iter().all(|count| *count == 1) { Ok(()) } else { Err(InvalidChain::Sequences) }
}

pub(super) fn count_parents(jobs: &[JobSpec]) -> Result<Vec<u32>, InvalidChain> {
    let mut parents = vec![0_u32; jobs.len()];
    for job in jobs {
        let impossible = || InvalidChain::Successor { job: job.id };
        if !job.successors.is_sorted_by(|a, b| a < b) {
            return Err(impossible());
        }
        for successor in &job.successors {
            *parents.get_mut(successor.at()).ok_or_else(impossible)? += 1;
        }
    }
    Ok(parents)
}

pub(super) fn check_ends(jobs: &[JobSpec], parents: &[u32]) -> Result<JobPlace, InvalidChain> {
    let sources: Vec<usize> = (0..jobs.len()).filter(|at| parents[*at] == 0).collect();
    let sinks = jobs.iter().filter(|job| job.successors.is_empty()).count();
    match sources[..] {
        [source] if sinks == 1 => Ok(JobPlace(u32::try_from(source).expect("a chain is bounded"))),
        _ => Err(InvalidChain::Ends { sources: sources.len(), sinks }),
    }
}

pub(super) fn check_acyclic(jobs: &[JobSpec], parents: &[u32], source: JobPlace) -> Result<(), InvalidChain> {
    let mut left = parents.to_vec();
    let mut ready = vec![source];
    let mut seen = 0;
    while let Some(place) = ready.pop() {
        seen += 1;
        for successor in &jobs[place.at()].successors {
            left[successor.at()] -= 1;
            if left[successor.at()] == 0 {
                ready.push(*successor);
            }
        }
    }
    if seen == jobs.len() { Ok(()) } else { Err(InvalidChain::Cycle) }
}
