//! What a request has beyond Spin Cycle: timeouts, waits that grow, and the request it goes on with.
//!
//! It is stored beside the chain and only where there is any of it, so that a request without is stored as ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    chain::{JobPlace, SequencePlace, ValidChain},
    job::{JOB_DATA_BYTES_MAX, Phase},
    json::{self, JsonMap},
    parallel::ParallelPlace,
    request::LiveRequest,
};
use crate::{
    ids::RequestId,
    spec::{Backoff, Wait},
    time::Timestamp,
};

/// The terms of a request; immutable.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// How long it may run, from its start, not counting the time without an owner.
    pub timeout: Option<Wait>,
    /// Those of its jobs, where there are any.
    pub jobs: BTreeMap<JobPlace, JobTerms>,
    /// How the waits between the tries of its sequences grow, where they do.
    pub sequences: BTreeMap<SequencePlace, Backoff>,
    /// The finished request it goes on with.
    pub retry_of: Option<RetryOf>,
}

/// The terms of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTerms {
    /// How long each try may run.
    pub timeout: Option<Wait>,
    /// How the wait between its tries grows.
    pub backoff: Option<Backoff>,
}

/// What a request takes over from a finished one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryOf {
    /// The finished request.
    pub request: RequestId,
    /// The jobs that are complete from the start: with each all it depends on.
    pub kept: BTreeSet<JobPlace>,
}

/// Why terms do not fit a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTerms {
    /// A job or sequence is none of the chain's.
    #[error("a job or sequence that is not in the chain has terms")]
    Place,
    /// A job would be complete before one it depends on.
    #[error("job {job} cannot be kept: one it depends on is not")]
    NotReached {
        /// The job's name.
        job: Arc<str>,
    },
    /// More of the expansions behind a job have begun than may run at a time.
    #[error("more expansions after job {begin} have begun than may run at a time")]
    Parallel {
        /// The name of the job before them.
        begin: Arc<str>,
    },
    /// Nothing is left to run.
    #[error("every job would be kept: nothing is left to run")]
    NothingLeft,
    /// A job would begin with more data than a job may have.
    #[error("job {job} would begin with more than {JOB_DATA_BYTES_MAX} bytes of job data")]
    Data {
        /// The job's name.
        job: Arc<str>,
    },
}

impl Terms {
    /// Whether there is nothing in them.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The row, if there is one.
    pub(super) fn row(&self) -> Option<&Self> {
        (!self.is_empty()).then_some(self)
    }

    /// How long a try of a job may run.
    pub fn try_timeout(&self, job: JobPlace) -> Option<&Wait> {
        self.jobs.get(&job)?.timeout.as_ref()
    }

    /// How the wait between a job's tries grows.
    pub(super) fn job_backoff(&self, job: JobPlace) -> Option<&Backoff> {
        self.jobs.get(&job)?.backoff.as_ref()
    }

    /// Whether a job is complete from the start.
    pub fn keeps(&self, job: JobPlace) -> bool {
        self.retry_of.as_ref().is_some_and(|retry_of| retry_of.kept.contains(&job))
    }

    /// Checks that they are those of a chain.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn check(&self, chain: &ValidChain) -> Result<(), InvalidTerms> {
        let is_job = |place: &JobPlace| place.at() < chain.len();
        let kept = self.retry_of.iter().flat_map(|retry_of| &retry_of.kept);
        let sequences = chain.sequences().count();
        let places = self.jobs.keys().chain(kept).all(is_job)
            && self.sequences.keys().all(|sequence| sequence.at() < sequences);
        if !places {
            return Err(InvalidTerms::Place);
        }
        self.retry_of.as_ref().map_or(Ok(()), |retry_of| retry_of.check(chain))
    }
}

impl RetryOf {
    fn check(&self, chain: &ValidChain) -> Result<(), InvalidTerms> {
        if self.kept.len() == chain.len() {
            return Err(InvalidTerms::NothingLeft);
        }
        let mut parents = vec![0; chain.len()];
        for place in &self.kept {
            chain.job(*place).successors.iter().for_each(|next| parents[next.at()] += 1);
        }
        let reached = |place: &&JobPlace| parents[place.at()] == chain.parents(**place);
        if let Some(place) = self.kept.iter().find(|place| !reached(place)) {
            return Err(InvalidTerms::NotReached { job: chain.job(*place).name.clone() });
        }
        for (place, begun, complete) in self.expansions(chain) {
            let spec = chain.parallel(place);
            if begun > complete.saturating_add(spec.running_max) {
                return Err(InvalidTerms::Parallel { begin: chain.job(spec.begin).name.clone() });
            }
        }
        Ok(())
    }

    /// The expansions that have begun, counted from the first, and how many of them are complete.
    pub(super) fn expansions<'a>(
        &'a self,
        chain: &'a ValidChain,
    ) -> impl Iterator<Item = (ParallelPlace, u32, u32)> + 'a {
        let of_chain =
            chain.parallel_places().filter(|place| self.kept.contains(&chain.parallel(*place).begin));
        of_chain.map(|place| {
            let expansions = &chain.parallel(place).expansions;
            let begun = expansions.iter().rposition(|expansion| self.kept.contains(&expansion.first));
            let complete = expansions.iter().filter(|expansion| self.kept.contains(&expansion.last)).count();
            let count = |count: usize| u32::try_from(count).expect("a chain is bounded");
            (place, begun.map_or(0, |last| count(last + 1)), count(complete))
        })
    }
}

impl LiveRequest {
    /// When the request is out of time; `None` if it never is, or not while things are as they are.
    pub fn deadline(&self) -> Option<Timestamp> {
        let timeout = self.terms.timeout.as_ref()?.duration();
        let counts = self.progress.owner.is_some() && self.progress.stopped_at.is_none();
        let started_at = self.progress.started_at.filter(|_| counts)?;
        let unowned =
            if mutant!("time-without-owner-counts") { Duration::ZERO } else { self.control.unowned };
        Some(started_at.after(timeout).after(unowned))
    }

    /// When the try of a job is out of time; `None` if it never is, runs not, or is being stopped.
    pub fn try_deadline(&self, job: JobPlace) -> Option<Timestamp> {
        try_deadline(self.job_at(job).phase, self.countdown(job))
    }

    /// How long a try of a job may run, as long as the request is not being stopped.
    pub(super) fn countdown(&self, job: JobPlace) -> Option<Duration> {
        let timeout = self.terms.try_timeout(job)?;
        self.progress.stopped_at.is_none().then(|| timeout.duration())
    }
}

/// When a try in this phase is out of time.
pub(super) fn try_deadline(phase: Phase, countdown: Option<Duration>) -> Option<Timestamp> {
    match phase {
        Phase::Running { since } | Phase::Awaiting { since } => Some(since.after(countdown?)),
        _ => None,
    }
}

/// The job data a request begins with: each distinct map once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobData {
    maps: Vec<Arc<JsonMap>>,
    /// Ascending; with each job the number of its map.
    jobs: Vec<(JobPlace, u32)>,
}

impl JobData {
    /// What jobs have; those without data are left out.
    pub fn new(jobs: impl IntoIterator<Item = (JobPlace, Arc<JsonMap>)>) -> Self {
        Self::within(usize::MAX, jobs).expect("no data has so many bytes")
    }

    /// What jobs have, if it is not more than so many bytes.
    ///
    /// # Errors
    /// It is more: how much had been counted by then.
    pub(super) fn within(
        bytes_max: usize,
        jobs: impl IntoIterator<Item = (JobPlace, Arc<JsonMap>)>,
    ) -> Result<Self, usize> {
        let jobs: BTreeMap<JobPlace, Arc<JsonMap>> =
            jobs.into_iter().filter(|(_, data)| !data.is_empty()).collect();
        let mut numbers = BTreeMap::<&JsonMap, u32>::new();
        // Most jobs share the map of one before them, and maps are large: one that was seen is not compared again. Which maps are
        // shared differs between nodes, what comes of it does not.
        let mut seen = BTreeMap::<*const JsonMap, u32>::new();
        let (mut data, mut bytes) = (Self::default(), 0);
        for (place, map) in &jobs {
            let known = seen.get(&Arc::as_ptr(map)).or_else(|| numbers.get(&**map)).copied();
            let number = known.unwrap_or_else(|| u32::try_from(data.maps.len()).expect("a chain is bounded"));
            if known.is_none() {
                bytes += json::size(map);
                if bytes > bytes_max {
                    return Err(bytes);
                }
                data.maps.push(map.clone());
                numbers.insert(map, number);
            }
            seen.insert(Arc::as_ptr(map), number);
            data.jobs.push((*place, number));
        }
        Ok(data)
    }

    /// Each job with its data. A job whose map is missing has none.
    pub fn iter(&self) -> impl Iterator<Item = (JobPlace, &Arc<JsonMap>)> {
        self.jobs.iter().filter_map(|(place, number)| Some((*place, self.maps.get(*number as usize)?)))
    }

    /// Whether a job has any.
    pub fn has(&self, job: JobPlace) -> bool {
        self.jobs.binary_search_by_key(&job, |(place, _)| *place).is_ok()
    }

    /// How much it is, in bytes of names and values.
    pub fn bytes(&self) -> usize {
        self.maps.iter().map(|map| json::size(map)).sum()
    }

    /// Checks that no job of a chain would have more than a job may have.
    ///
    /// # Errors
    /// The first that would, or data of what is no job.
    pub fn check(&self, chain: &ValidChain) -> Result<(), InvalidTerms> {
        for (place, map) in self.iter() {
            let spec = chain.jobs().get(place.at()).ok_or(InvalidTerms::Place)?;
            if json::size(map) > JOB_DATA_BYTES_MAX {
                return Err(InvalidTerms::Data { job: spec.name.clone() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{
        ids::JobId,
        workflow::{
            chain::{ChainParts, JobSpec, SequenceSpec},
            json::JsonText,
            parallel::{Expansion, ParallelSpec},
        },
    };

    /// `a`, three jobs behind it of which one runs at a time, and `e` behind them.
    fn fan() -> ValidChain {
        let job = |number: u8, successors: &[u32]| JobSpec {
            id: JobId([b'0', b'0', b'0', b'0' + number]),
            name: char::from(b'a' + number).to_string().into(),
            job_type: "ok".into(),
            args: JsonMap::new(),
            bytes: Bytes::new(),
            retry: 0,
            retry_wait: None,
            idempotent: false,
            sequence: SequencePlace(0),
            successors: successors.iter().copied().map(JobPlace).collect(),
        };
        let jobs = vec![job(0, &[1, 2, 3]), job(1, &[4]), job(2, &[4]), job(3, &[4]), job(4, &[])];
        let sequences = vec![SequenceSpec { begin: JobPlace(0), parent: None, retry: 0, retry_wait: None }];
        let one = |place| Expansion { first: JobPlace(place), last: JobPlace(place) };
        let parallels = vec![ParallelSpec {
            begin: JobPlace(0),
            running_max: 1,
            expansions: [1, 2, 3].map(one).to_vec(),
        }];
        ValidChain::try_from(ChainParts { jobs, sequences, parallels }).unwrap()
    }

    fn keeping(kept: &[u32]) -> Terms {
        let kept = kept.iter().copied().map(JobPlace).collect();
        Terms { retry_of: Some(RetryOf { request: RequestId([1; 12]), kept }), ..Terms::default() }
    }

    #[test]
    fn terms_that_do_not_fit_a_chain_are_refused() {
        let named = |name: &str| Arc::<str>::from(name);
        let of_job = Terms { jobs: [(JobPlace(5), JobTerms::default())].into(), ..Terms::default() };
        let factor = crate::spec::Factor::try_from(2_000).unwrap();
        let backoff = Backoff { factor, wait_max: None };
        let of_sequence = Terms { sequences: [(SequencePlace(1), backoff)].into(), ..Terms::default() };
        let cases = [
            ("terms of no job", of_job, Err(InvalidTerms::Place)),
            ("terms of no sequence", of_sequence, Err(InvalidTerms::Place)),
            ("no job is kept", keeping(&[0, 5]), Err(InvalidTerms::Place)),
            ("everything is kept", keeping(&[0, 1, 2, 3, 4]), Err(InvalidTerms::NothingLeft)),
            ("what is before it is not", keeping(&[1]), Err(InvalidTerms::NotReached { job: named("b") })),
            (
                "the third before the first",
                keeping(&[0, 3]),
                Err(InvalidTerms::Parallel { begin: named("a") }),
            ),
            ("the second before the first", keeping(&[0, 2]), Ok(())),
            ("in order", keeping(&[0, 1, 2]), Ok(())),
            ("nothing", keeping(&[]), Ok(())),
        ];
        for (name, terms, expected) in cases {
            assert_eq!(terms.check(&fan()), expected, "{name}");
        }
    }

    fn map(bytes: usize) -> Arc<JsonMap> {
        Arc::new(JsonMap::from([(Arc::from("k"), JsonText::string(&"x".repeat(bytes)))]))
    }

    #[test]
    fn a_job_begins_with_no_more_data_than_it_may_have() {
        let data = |place, bytes| JobData::new([(JobPlace(place), map(bytes))]);
        assert_eq!(data(4, 10).check(&fan()), Ok(()));
        assert_eq!(data(5, 10).check(&fan()), Err(InvalidTerms::Place));
        let too_much = Err(InvalidTerms::Data { job: "c".into() });
        assert_eq!(data(2, JOB_DATA_BYTES_MAX).check(&fan()), too_much);
    }

    #[test]
    fn data_is_the_same_whether_jobs_share_their_maps_or_not() {
        let (small, large) = (map(10), map(1_000));
        let shared = [&small, &large, &small, &large].map(Arc::clone);
        let apart = [10, 1_000, 10, 1_000].map(map);
        let within = |bytes_max, maps: &[Arc<JsonMap>; 4]| {
            JobData::within(bytes_max, (0..).map(JobPlace).zip(maps.iter().cloned()))
        };
        let each_once = json::size(&small) + json::size(&large);
        let data = within(each_once, &shared).unwrap();
        assert_eq!((data.maps.len(), data.jobs.len(), data.bytes()), (2, 4, each_once));
        assert_eq!(within(each_once, &apart), Ok(data));
        for maps in [&shared, &apart] {
            assert_eq!(within(each_once - 1, maps), Err(each_once));
        }
    }
}
