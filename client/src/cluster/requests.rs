//! Requests as Capstan's own surface shows them: with what they have beyond Spin Cycle.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::spin_cycle::{RequestArg, UtcTime};

/// The answer of `GET /cluster/v1/requests/{id}`, and to what is done to a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestDetail {
    /// Its id.
    pub id: String,
    /// The name of its spec.
    #[serde(rename = "type")]
    pub kind: String,
    /// Who asked for it; empty without auth.
    pub user: String,
    /// `PENDING`, `RUNNING`, `SUSPENDED`, `COMPLETE`, `FAIL` or `STOPPED`. A paused request is as it would be without the pause.
    pub state: String,
    /// When it was stored.
    pub created_at: UtcTime,
    /// When a node first owned it.
    pub started_at: Option<UtcTime>,
    /// When it ended.
    pub finished_at: Option<UtcTime>,
    /// The node that runs it.
    pub node: Option<u64>,
    /// The version of the cluster's specs it was built from, to its end; `None` where the cluster had none yet.
    pub specs: Option<String>,
    /// How many jobs it has.
    pub total_jobs: u32,
    /// How many of them are complete.
    pub finished_jobs: u32,
    /// How long it may run, as its spec says.
    pub timeout: Option<String>,
    /// When it is out of time, as things are.
    pub deadline: Option<UtcTime>,
    /// When it ran out of time.
    pub timed_out_at: Option<UtcTime>,
    /// Who paused it, while it is paused.
    pub paused: Option<RequestPause>,
    /// The finished request it goes on with.
    pub retry_of: Option<String>,
    /// The requests that go on with it, the last hundred by id.
    pub retried_by: Vec<String>,
    /// Its jobs that wait for somebody to decide.
    pub awaiting: Vec<AwaitedApproval>,
    /// What was decided, by job and then by try.
    pub decisions: Vec<ApprovalDecision>,
    /// Its jobs, each after all it depends on.
    pub jobs: Vec<JobState>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestPause {
    /// Who asked for it; empty without auth.
    pub by: String,
    /// Since when.
    pub since: UtcTime,
}

/// An approval that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitedApproval {
    /// The job.
    pub job_id: String,
    /// Its name in the spec.
    pub name: String,
    /// Its try.
    #[serde(rename = "try")]
    pub try_no: u32,
    /// What is to be decided, in the words of the spec; empty when it does not say.
    pub message: String,
    /// Since when.
    pub since: UtcTime,
    /// When it fails if nobody decides.
    pub deadline: Option<UtcTime>,
}

/// An approval that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalDecision {
    /// The job.
    pub job_id: String,
    /// Its try.
    #[serde(rename = "try")]
    pub try_no: u32,
    /// Whether the jobs after it may run.
    pub approved: bool,
    /// Who decided; empty without auth.
    pub by: String,
    /// Why; may be empty.
    pub comment: String,
    /// When.
    pub at: UtcTime,
}

/// One job of a request, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// Its id.
    pub id: String,
    /// Its node's name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its state, in Spin Cycle's words.
    pub state: String,
    /// Its newest try; 0 before the first.
    #[serde(rename = "try")]
    pub try_no: u32,
    /// How long each try may run.
    pub timeout: Option<String>,
    /// Whether it was complete from the start, in a request that goes on with another.
    pub kept: bool,
}

/// What a request would be: the answer of a dry run, and of the preview of a retry. Nothing is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestPlan {
    /// The name of its spec.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its args, as they would be recorded.
    pub args: Vec<RequestArg>,
    /// How long it might run.
    pub timeout: Option<String>,
    /// The finished request it would go on with.
    pub retry_of: Option<String>,
    /// How many jobs it would have.
    pub total_jobs: u32,
    /// How many of them would be complete from the start.
    pub kept_jobs: u32,
    /// How many of the jobs to run are of each type.
    pub types: std::collections::BTreeMap<String, u32>,
    /// Its jobs, each after all it depends on.
    pub jobs: Vec<PlannedJob>,
}

/// One job of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedJob {
    /// Names it in this plan.
    pub id: String,
    /// Its node's name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The args it would be created with.
    pub args: Map<String, Value>,
    /// The first job of its sequence.
    pub sequence_id: String,
    /// The jobs it directly depends on.
    pub after: Vec<String>,
    /// How often it would be tried again.
    pub retry: u32,
    /// The wait between its tries.
    pub retry_wait: Option<String>,
    /// By what that wait would grow from try to try.
    pub retry_backoff: Option<String>,
    /// What no wait would exceed.
    pub retry_wait_max: Option<String>,
    /// How long each try might run.
    pub timeout: Option<String>,
    /// Whether it would be complete from the start.
    pub kept: bool,
}

/// The body of `POST /cluster/v1/requests/{id}/retry`. An empty body is as good as the default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryRequest {
    /// The args that are to be others than before. With any, the graph is built anew from the specs as they are.
    pub args: Map<String, Value>,
    /// Whether to answer what would be kept and run, and do nothing.
    pub preview: bool,
}

/// The body of `…/jobs/{job}/approve` and `…/reject`. An empty body is as good as the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decide {
    /// Why; at most 4 KiB.
    pub comment: String,
    /// The try that was looked at: a decision about it is refused once another one waits. The one that waits, if left out.
    #[serde(rename = "try", skip_serializing_if = "Option::is_none")]
    pub try_no: Option<u32>,
}
