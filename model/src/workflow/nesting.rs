//! How the sequences of a chain enclose each other, and which jobs lie in each.

use super::chain::{JobPlace, JobSpec, SequencePlace, SequenceSpec};

/// The tree of a chain's sequences, numbered so that a sequence and all it encloses are a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Nesting {
    /// By sequence: its number, and the first number after those it encloses.
    numbers: Vec<(usize, usize)>,
    /// All jobs, in the order of their sequences' numbers.
    members: Vec<JobPlace>,
    /// By number: where the sequence's own jobs start in `members`; one more at the end.
    starts: Vec<usize>,
}

impl Nesting {
    /// Numbers sequences of which each stands after the one that encloses it, and the first encloses all.
    pub(super) fn new(jobs: &[JobSpec], sequences: &[SequenceSpec]) -> Self {
        let mut sizes = vec![1; sequences.len()];
        for (at, sequence) in sequences.iter().enumerate().rev() {
            if let Some(parent) = sequence.parent {
                sizes[parent.at()] += sizes[at];
            }
        }
        // By sequence: the number of the next one directly inside it.
        let mut next_inside = vec![0; sequences.len()];
        let mut numbers = Vec::with_capacity(sequences.len());
        for (at, sequence) in sequences.iter().enumerate() {
            let number = sequence.parent.map_or(0, |parent| next_inside[parent.at()]);
            if let Some(parent) = sequence.parent {
                next_inside[parent.at()] += sizes[at];
            }
            next_inside[at] = number + 1;
            numbers.push((number, number + sizes[at]));
        }
        let number_of = |place: JobPlace| numbers[jobs[place.at()].sequence.at()].0;
        let mut members: Vec<JobPlace> =
            (0..u32::try_from(jobs.len()).expect("a chain is bounded")).map(JobPlace).collect();
        members.sort_by_key(|place| (number_of(*place), *place));
        let starts = (0..=sequences.len())
            .map(|number| members.partition_point(|place| number_of(*place) < number))
            .collect();
        Self { numbers, members, starts }
    }

    /// The jobs of a sequence and of those it encloses.
    pub(super) fn members(&self, sequence: SequencePlace) -> &[JobPlace] {
        let (from, to) = self.numbers[sequence.at()];
        &self.members[self.starts[from]..self.starts[to]]
    }

    /// Whether a sequence is another, or encloses it.
    pub(super) fn encloses(&self, outer: SequencePlace, inner: SequencePlace) -> bool {
        let (from, to) = self.numbers[outer.at()];
        (from..to).contains(&self.numbers[inner.at()].0)
    }
}
