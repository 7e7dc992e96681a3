//! `GET /api/v1/status/running`: what runs now, as the replicated state knows it, and in the words of the jobs themselves.
//!
//! A job between two tries and one that waits for a slot are shown too, with what they wait for. What a running job says of itself
//! is known to its owner alone, which is asked; one that does not answer in time leaves its jobs without words.

use std::collections::{BTreeMap, BTreeSet};

use capstan_client::spin_cycle::{JobStatus, RunningStatus};
use capstan_model::{
    ids::{JobId, NodeId, RequestId},
    workflow::{
        chain::JobSpec,
        job::{Job, Phase},
        request::{LiveRequest, RequestState},
    },
};

use super::{requests, shapes};
use crate::{answer::Answer, call::Head, error::ApiError, query, read, service::Inner};

/// What running jobs say of themselves.
type Words = BTreeMap<(RequestId, JobId), String>;

pub(crate) async fn running(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let only = query::first(head.query, "requestId").filter(|id| !id.is_empty());
    let view = read::view(&api.parts.cluster, head).await?;
    let state = view.state();
    let wanted: Vec<&LiveRequest> = state
        .requests
        .in_state(RequestState::Running)
        .filter(|live| only.as_ref().is_none_or(|only| live.id().to_string() == **only))
        .collect();
    let words = words(api, &wanted, only.is_some()).await;
    let mut status = RunningStatus { jobs: Vec::new(), requests: BTreeMap::new() };
    for live in wanted {
        let shown = live.jobs().filter(|(_, job)| job.phase.is_active());
        status.jobs.extend(shown.map(|(spec, job)| job_status(live, spec, job, &words)));
        let mut summary = shapes::summary(&live.summary(), &state.nodes);
        summary.jr_url = String::new();
        status.requests.insert(live.id().to_string(), summary);
    }
    status.jobs.sort_by_key(|job| job.started_at);
    Ok(requests::answer(head, &view, &status))
}

/// Asks the owners of the requests.
async fn words(api: &Inner, wanted: &[&LiveRequest], only_one: bool) -> Words {
    let owners: BTreeSet<NodeId> = wanted.iter().filter_map(|live| Some(live.progress.owner?.node)).collect();
    if owners.is_empty() {
        return Words::new();
    }
    let request = wanted.first().filter(|_| only_one).map(|live| live.id());
    let told = api.parts.live_status.statuses(owners.into_iter().collect(), request).await;
    told.into_iter().map(|told| ((told.request, told.job), told.status)).collect()
}

fn job_status(live: &LiveRequest, spec: &JobSpec, job: &Job, words: &Words) -> JobStatus {
    let begun = live.progress.started_at.unwrap_or(live.progress.created_at);
    let (started_at, status) = match job.phase {
        Phase::Running { since } => (since, words.get(&(live.id(), spec.id)).map_or("", String::as_str)),
        Phase::Overdue { since } => (since, "(out of time, being stopped)"),
        Phase::Awaiting { since } => (since, "(waiting for approval)"),
        _ if live.control.paused.is_some() => (begun, "(paused)"),
        Phase::RetryWait { .. } => (begun, "(retry sleep) "),
        _ => (begun, "(waiting for a slot)"),
    };
    JobStatus {
        request_id: live.id().to_string(),
        job_id: spec.id.to_string(),
        kind: spec.job_type.to_string(),
        name: spec.name.to_string(),
        started_at: shapes::unix_nanos(started_at),
        state: shapes::job_state(job.state()),
        status: status.to_owned(),
        try_no: job.shown_try().into(),
    }
}
