//! What can be asked about a request. These travel in the log: a shipped shape is never edited.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    chain::ValidChain,
    job::JobState,
    json::{JsonMap, JsonText},
    output::Output,
    terms::{JobData, Terms},
};
use crate::{
    ids::{Epoch, Incarnation, JobId, RequestId, TryNo},
    spec::ArgKind,
    spec_store::SpecsId,
    time::Timestamp,
};

/// Stores a new request with its complete chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRequest {
    /// Its id, drawn by the node that was asked.
    pub id: RequestId,
    /// The name of its spec.
    pub request_type: Arc<str>,
    /// Who asked for it; empty without auth.
    pub user: Arc<str>,
    /// Its args: required, then optional, then static.
    pub args: Vec<RequestArg>,
    /// Its jobs and their order.
    pub chain: ValidChain,
    /// The specs it was built from, which must still be the current ones; `None` when they are not the cluster's.
    pub specs: Option<SpecsId>,
}

/// One arg of a request, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestArg {
    /// Its position among the args of its kind, from 0.
    pub pos: u32,
    /// Its name.
    pub name: Arc<str>,
    /// What it means, for people; empty when the spec does not say.
    pub desc: Arc<str>,
    /// Required, optional or static.
    pub kind: ArgKind,
    /// Whether the caller gave it, if only as null.
    pub given: bool,
    /// The spec's default of an optional one.
    pub default: Option<Arc<str>>,
    /// Its value.
    pub value: JsonText,
}

/// Names one try, and the ownership under which it was seen; apply refuses what is not current any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryId {
    /// The request.
    pub request: RequestId,
    /// The job.
    pub job: JobId,
    /// The try.
    pub try_no: TryNo,
    /// The request's epoch.
    pub epoch: Epoch,
    /// The request's owner.
    pub incarnation: Incarnation,
}

/// Reports the end of a try. Its natural key is the try: a repeat is refused and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishTry {
    /// Which try, seen under which ownership.
    pub id: TryId,
    /// How it went.
    pub report: TryReport,
}

/// How a try went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryReport {
    /// How it ended.
    pub end: TryEnd,
    /// The job's exit status; decides nothing.
    pub exit: i64,
    /// What went wrong, for people; at most [`super::job::ERROR_BYTES_MAX`].
    pub error: Arc<str>,
    /// The end of its standard output.
    pub stdout: Output,
    /// The end of its standard error.
    pub stderr: Output,
    /// When it started, by the owner's wall clock; zero if it could not be.
    pub started_at: Timestamp,
    /// When it ended, by the owner's wall clock; zero if it could not be started.
    pub finished_at: Timestamp,
    /// What it wrote into its job data. Kept for its next tries; handed on to the jobs after it when it is
    /// complete.
    pub job_data: JsonMap,
}

impl TryReport {
    /// The report of a try that apply itself ends: nothing was written.
    pub(super) fn unwritten(
        end: TryEnd,
        error: Arc<str>,
        started_at: Timestamp,
        finished_at: Timestamp,
    ) -> Self {
        let (stdout, stderr) = (Output::default(), Output::default());
        let exit = i64::from(end == TryEnd::Failed);
        Self { end, exit, error, stdout, stderr, started_at, finished_at, job_data: JsonMap::new() }
    }
}

/// How a try ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TryEnd {
    /// It succeeded.
    Complete,
    /// It failed.
    Failed,
    /// It did not say; handled as a failure.
    Unknown,
    /// It was told to stop, and did.
    Stopped,
    /// It was told to stop, did not, and was killed: a failure even of a stopped request.
    KilledStopping,
    /// It says that it stopped, and nobody had told it to.
    StoppedItself,
    /// It was killed because its node could not know any more whether it might run: as if the node had been lost.
    CutOff,
}

impl TryEnd {
    /// The state its log shows.
    pub fn state(self) -> JobState {
        match self {
            Self::Complete => JobState::Complete,
            Self::Failed | Self::KilledStopping | Self::CutOff => JobState::Failed,
            Self::Unknown => JobState::Unknown,
            Self::Stopped | Self::StoppedItself => JobState::Stopped,
        }
    }
}

/// Starts the next try of a job whose retry wait is over. Its natural key is the try that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartRetry {
    /// The try that failed, seen under which ownership.
    pub id: TryId,
}

/// Stops a request: from then on nothing of it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopRequest {
    /// Which.
    pub request: RequestId,
}

/// Stores a new request that has something beyond Spin Cycle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateWithTerms {
    /// The request and its chain.
    pub create: Arc<CreateRequest>,
    /// What it has beside them.
    pub terms: Arc<Terms>,
    /// What its jobs have from the request it goes on with.
    pub data: Arc<JobData>,
}

/// Stops what is out of time. Proposed by the leader; its natural key is the try, or the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expire {
    /// Which.
    pub request: RequestId,
    /// The job and its try that is; `None` is the whole request.
    pub try_of: Option<(JobId, TryNo)>,
}

/// Ends an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecideApproval {
    /// The request.
    pub request: RequestId,
    /// The job that waits.
    pub job: JobId,
    /// The try that was looked at.
    pub try_no: TryNo,
    /// Whether the jobs after it may run.
    pub approved: bool,
    /// Who decides; empty without auth.
    pub by: Arc<str>,
    /// Why; at most [`super::approval::COMMENT_BYTES_MAX`].
    pub comment: Arc<str>,
}

/// Lets nothing of a request start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseRequest {
    /// Which.
    pub request: RequestId,
    /// Who asks; empty without auth.
    pub by: Arc<str>,
}

/// Lets a paused request go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeRequest {
    /// Which.
    pub request: RequestId,
    /// Who asks; empty without auth.
    pub by: Arc<str>,
}
