//! Finds the jobs of one chain in another: by the sequences they stand in, their nodes' names, types and args.
//!
//! Job ids say nothing here, they are drawn anew. Of the expansions of one node each sequence has its number in the list; jobs
//! have none, and need none: what tells them apart are their args.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::workflow::{
    chain::{JobPlace, SequencePlace, ValidChain},
    json::JsonMap,
};

/// Names a sequence in both chains: equal numbers, equal places.
type SequenceNumber = usize;
/// What a sequence stands in, the name of its first job, and which one of that name it is.
type SequenceKey<'a> = (Option<SequenceNumber>, &'a Arc<str>, usize);
/// Where a job stands.
type JobKey<'a> = (SequenceNumber, &'a Arc<str>);

/// What would be different about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// It would not be there.
    Gone,
    /// It would be of another type.
    Type,
    /// It would have other args: these.
    Args(Vec<Arc<str>>),
    /// There would be fewer like it.
    Fewer,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("would not be there"),
            Self::Type => f.write_str("would be of another type"),
            Self::Args(args) => write!(f, "would have another value of {}", args.join(", ")),
            Self::Fewer => f.write_str("there would be fewer like it"),
        }
    }
}

/// Two chains, and which of their sequences are the same.
pub(super) struct Matching<'a> {
    old: &'a ValidChain,
    new: &'a ValidChain,
    old_sequences: Vec<SequenceNumber>,
    new_sequences: Vec<SequenceNumber>,
}

impl<'a> Matching<'a> {
    pub(super) fn new(old: &'a ValidChain, new: &'a ValidChain) -> Self {
        let mut numbers = BTreeMap::<SequenceKey<'a>, SequenceNumber>::new();
        let old_sequences = number_sequences(old, &mut numbers);
        let new_sequences = number_sequences(new, &mut numbers);
        Self { old, new, old_sequences, new_sequences }
    }

    /// The places in the new chain of some jobs of the old one.
    ///
    /// # Errors
    /// The first that is not there, in the order of the chain, and why.
    pub(super) fn find(
        &self,
        wanted: &BTreeSet<JobPlace>,
    ) -> Result<BTreeMap<JobPlace, JobPlace>, (JobPlace, Mismatch)> {
        let mut candidates = BTreeMap::<JobKey<'_>, Vec<JobPlace>>::new();
        for place in self.new.in_order() {
            let spec = self.new.job(place);
            let sequence = self.new_sequences[spec.sequence.at()];
            candidates.entry((sequence, &spec.name)).or_default().push(place);
        }
        // Of expansions the first of the list begin first, so those are the ones that can be kept.
        for of_name in candidates.values_mut() {
            of_name.sort_by_key(|place| self.new.parallels().started_by(*place).map(|(_, number)| number));
        }
        let mut found = BTreeMap::new();
        for place in self.old.in_order().into_iter().filter(|place| wanted.contains(place)) {
            let spec = self.old.job(place);
            let key = (self.old_sequences[spec.sequence.at()], &spec.name);
            let of_name = candidates.get_mut(&key).ok_or((place, Mismatch::Gone))?;
            let is_same = |candidate: &JobPlace| {
                let candidate = self.new.job(*candidate);
                candidate.job_type == spec.job_type && candidate.args == spec.args
            };
            match of_name.iter().position(is_same) {
                // The order is kept: of two that look alike the first is the first.
                Some(at) => found.insert(place, of_name.remove(at)),
                None => return Err((place, self.mismatch(place, of_name))),
            };
        }
        Ok(found)
    }

    fn mismatch(&self, place: JobPlace, of_name: &[JobPlace]) -> Mismatch {
        let spec = self.old.job(place);
        let Some(first) = of_name.first().map(|first| self.new.job(*first)) else { return Mismatch::Fewer };
        if first.job_type != spec.job_type {
            Mismatch::Type
        } else {
            Mismatch::Args(differing(&spec.args, &first.args))
        }
    }

    /// Whether the jobs that were not found are the same in both chains, so that nothing would run differently.
    pub(super) fn leaves_the_same(&self, found: &BTreeMap<JobPlace, JobPlace>) -> bool {
        let taken: BTreeSet<JobPlace> = found.values().copied().collect();
        let left =
            |chain: &'a ValidChain, sequences: &[SequenceNumber], is_found: &dyn Fn(&JobPlace) -> bool| {
                let mut left: Vec<_> = chain
                    .places()
                    .filter(|place| !is_found(place))
                    .map(|place| chain.job(place))
                    .map(|spec| (sequences[spec.sequence.at()], &spec.name, &spec.job_type, &spec.args))
                    .collect();
                left.sort();
                left
            };
        left(self.old, &self.old_sequences, &|place| found.contains_key(place))
            == left(self.new, &self.new_sequences, &|place| taken.contains(place))
    }
}

/// Gives each sequence of a chain its number; the same one to sequences at the same place in other chains.
fn number_sequences<'a>(
    chain: &'a ValidChain,
    numbers: &mut BTreeMap<SequenceKey<'a>, SequenceNumber>,
) -> Vec<SequenceNumber> {
    let mut seen = BTreeMap::<(Option<SequenceNumber>, &Arc<str>), usize>::new();
    let mut of_chain: Vec<SequenceNumber> = Vec::new();
    for place in chain.sequences() {
        let sequence = chain.sequence(place);
        // A sequence stands after the one that encloses it.
        let parent = sequence.parent.map(|parent| of_chain[parent.at()]);
        let begin = &chain.job(sequence.begin).name;
        let count = seen.entry((parent, begin)).or_insert(0);
        let next = numbers.len();
        of_chain.push(*numbers.entry((parent, begin, *count)).or_insert(next));
        *count += 1;
    }
    of_chain
}

/// Where a job stands: the names of the nodes around it, and its own, as in `deploy/rollout[2]/restart`.
pub(super) fn path(chain: &ValidChain, job: JobPlace) -> String {
    let node_of = |sequence: SequencePlace| {
        let spec = chain.sequence(sequence);
        let begin = &chain.job(spec.begin).name;
        let like_it = |other: &SequencePlace| {
            let other = chain.sequence(*other);
            other.parent == spec.parent && chain.job(other.begin).name == *begin
        };
        let name = begin.strip_suffix("_begin").unwrap_or(begin);
        let kinds = ["request_", "sequence_", "conditional_"];
        let name = kinds.iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(name);
        match chain.sequences().filter(like_it).count() {
            1 => name.to_owned(),
            _ => format!(
                "{name}[{}]",
                chain.sequences().take_while(|at| *at < sequence).filter(like_it).count()
            ),
        }
    };
    let mut parts: Vec<String> = chain.enclosing(job).map(node_of).collect();
    parts.reverse();
    parts.push(chain.job(job).name.to_string());
    parts.join("/")
}

/// The names of the args that differ.
fn differing(before: &JsonMap, after: &JsonMap) -> Vec<Arc<str>> {
    let names: BTreeSet<&Arc<str>> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests;
