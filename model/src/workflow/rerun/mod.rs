//! What a finished request is gone on with as: a new request in which what was complete is kept, and the rest runs.
//!
//! With the args it had, the chain is the old one. With others the graph is built anew, from the specs as they are, and each
//! complete job must be found in it again: at the same place, of the same type, with the same args. Nothing is kept that another
//! request would not have done in the same way, and no approval of what would have run with the old args.

mod approvals;
mod matching;

use std::{collections::BTreeSet, sync::Arc};

use self::matching::{Matching, Mismatch};
use super::{
    archive_rows::FinishedDataRow,
    chain::{JobPlace, ValidChain},
    command::{CreateRequest, CreateWithTerms, RequestArg},
    graph::Built,
    job::JobState,
    json::JsonMap,
    request::RequestState,
    terms::{InvalidTerms, JobData, RetryOf, Terms},
    view::RequestDetail,
};
use crate::{command::Command, ids::RequestId, spec_store::SpecsId};

/// A finished request, as the archive has it.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Its args, chain, and what became of its jobs.
    pub detail: RequestDetail,
    /// What it had beyond Spin Cycle.
    pub terms: Arc<Terms>,
    /// The data of its jobs.
    pub data: FinishedData,
}

/// The job data of a finished request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishedData {
    /// All of it.
    Kept(JobData),
    /// There was more than is kept.
    TooLarge {
        /// How much, in bytes of names and values.
        bytes: u64,
    },
}

impl From<FinishedDataRow> for FinishedData {
    fn from(row: FinishedDataRow) -> Self {
        match row {
            FinishedDataRow::Kept(data) => Self::Kept(data),
            FinishedDataRow::TooLarge { bytes } => Self::TooLarge { bytes },
        }
    }
}

/// A request that goes on with a finished one, without its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rerun {
    request_type: Arc<str>,
    /// Its args, as they are recorded.
    pub args: Vec<RequestArg>,
    /// Its jobs and their order.
    pub chain: ValidChain,
    /// What it has beyond Spin Cycle; which jobs are kept, too.
    pub terms: Terms,
    data: JobData,
    /// What its graph was built anew from; `None` for the chain it had, which no change of specs concerns.
    specs: Option<SpecsId>,
}

/// Why a request cannot be gone on with, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Every job is complete.
    #[error("request {0} is complete: nothing of it is left to run; start a new request")]
    Complete(RequestId),
    /// Its job data was too much to be kept.
    #[error(
        "the jobs of request {request} had {bytes} bytes of job data, more than is kept of a finished request; start a new request"
    )]
    DataTooLarge {
        /// The request.
        request: RequestId,
        /// How much.
        bytes: u64,
    },
    /// The request has no such arg.
    #[error("request type {request_type} has no arg '{arg}'; its args are: {}", known.join(", "))]
    UnknownArg {
        /// The type.
        request_type: Arc<str>,
        /// What was given.
        arg: Arc<str>,
        /// The args there are.
        known: Vec<Arc<str>>,
    },
    /// Only jobs that are complete use what would change.
    #[error("no job that is left to run uses {}: leave it out, or start a new request", args.join(", "))]
    NoUse {
        /// The args that would change.
        args: Vec<Arc<str>>,
    },
    /// A complete job would be another one.
    #[error("job {job} is complete, but {mismatch}: its work cannot be taken as done; start a new request")]
    Other {
        /// Where it stands, from the request inwards.
        job: String,
        /// What would be different.
        mismatch: Mismatch,
    },
    /// A complete job follows an approval that would be asked again.
    #[error(
        "job {job} is complete, and follows approval {approval}, which is asked again when args change: its work cannot be taken as approved; start a new request"
    )]
    Approved {
        /// Where the job stands, from the request inwards.
        job: String,
        /// Where the approval does.
        approval: String,
    },
    /// What would be kept does not fit the new graph.
    #[error("what is complete does not fit the request as it would be now: {0}; start a new request")]
    Unfit(#[from] InvalidTerms),
}

impl Finished {
    /// The args it was given, with others over them: what its graph is built anew with.
    pub fn args_with(&self, given: &JsonMap) -> JsonMap {
        let mut args: JsonMap = self
            .detail
            .created
            .args
            .iter()
            .filter(|arg| arg.given)
            .map(|arg| (arg.name.clone(), arg.value.clone()))
            .collect();
        args.extend(given.iter().map(|(name, value)| (name.clone(), value.clone())));
        args
    }

    /// Whether it had these args: then it goes on as with none.
    pub fn has_args(&self, given: &JsonMap) -> bool {
        let args = &self.detail.created.args;
        given.iter().all(|(name, value)| args.iter().any(|arg| arg.name == *name && arg.value == *value))
    }

    /// Goes on with the chain it had; what was approved of it stays approved.
    ///
    /// # Errors
    /// Nothing is left to run, or its job data is lost.
    pub fn rerun(&self) -> Result<Rerun, Refused> {
        let (kept, data) = (self.complete()?, self.kept_data()?);
        let CreateRequest { request_type, args, chain, .. } = &*self.detail.created;
        let (request_type, args, chain) = (request_type.clone(), args.clone(), chain.clone());
        let retry_of = Some(RetryOf { request: self.detail.summary.id, kept });
        let terms = Terms { retry_of, ..(*self.terms).clone() };
        terms.check(&chain)?;
        Ok(Rerun { request_type, args, chain, terms, data: data.clone(), specs: None })
    }

    /// Goes on with a graph that was built anew with [`Self::args_with`]. Its approvals are asked again.
    ///
    /// # Errors
    /// A complete job is not found in it again, or follows an approval, or the args change nothing.
    pub fn rerun_as(&self, built: Built, given: &JsonMap) -> Result<Rerun, Refused> {
        let (complete, data) = (self.complete()?, self.kept_data()?);
        let known = |name: &Arc<str>| built.args.iter().any(|arg| arg.name == *name);
        if let Some(arg) = given.keys().find(|name| !known(name)) {
            let known = built.args.iter().map(|arg| arg.name.clone()).collect();
            return Err(Refused::UnknownArg { request_type: built.request_type, arg: arg.clone(), known });
        }
        let old = &self.detail.created.chain;
        let matching = Matching::new(old, &built.chain);
        let found = matching
            .find(&approvals::taken_back(old, complete)?)
            .map_err(|(job, mismatch)| Refused::Other { job: matching::path(old, job), mismatch })?;
        let changed = changed_args(&self.detail.created.args, &built.args);
        if !changed.is_empty() && matching.leaves_the_same(&found) {
            return Err(Refused::NoUse { args: changed });
        }
        let data =
            JobData::new(data.iter().filter_map(|(place, map)| Some((*found.get(&place)?, map.clone()))));
        let retry_of = Some(RetryOf { request: self.detail.summary.id, kept: found.into_values().collect() });
        let terms = Terms { retry_of, ..built.terms };
        terms.check(&built.chain)?;
        let Built { request_type, args, chain, specs, .. } = built;
        Ok(Rerun { request_type, args, chain, terms, data, specs })
    }

    fn complete(&self) -> Result<BTreeSet<JobPlace>, Refused> {
        if self.detail.summary.state == RequestState::Complete {
            return Err(Refused::Complete(self.detail.summary.id));
        }
        let places = self.detail.created.chain.places().zip(&self.detail.jobs);
        Ok(places.filter(|(_, job)| job.state == JobState::Complete).map(|(place, _)| place).collect())
    }

    fn kept_data(&self) -> Result<&JobData, Refused> {
        match &self.data {
            FinishedData::Kept(data) => Ok(data),
            FinishedData::TooLarge { bytes } => {
                Err(Refused::DataTooLarge { request: self.detail.summary.id, bytes: *bytes })
            }
        }
    }
}

impl Rerun {
    /// The command that stores it.
    pub fn into_command(self, id: RequestId, user: Arc<str>) -> Command {
        let Self { request_type, args, chain, terms, data, specs } = self;
        let create = Arc::new(CreateRequest { id, request_type, user, args, chain, specs });
        Command::CreateWithTerms(CreateWithTerms { create, terms: Arc::new(terms), data: Arc::new(data) })
    }
}

/// The names of the args whose values differ.
fn changed_args(before: &[RequestArg], after: &[RequestArg]) -> Vec<Arc<str>> {
    let is_same = |arg: &RequestArg| before.iter().any(|old| old.name == arg.name && old.value == arg.value);
    after.iter().filter(|arg| !is_same(arg)).map(|arg| arg.name.clone()).collect()
}
