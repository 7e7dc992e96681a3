//! `GET /api/v1/status/running`: what runs now, as the replicated state knows it.
//!
//! A job between two tries and one that waits for a slot are shown too, with what they wait for; what a running job says of
//! itself is known to its owner alone and not shown here.

use std::collections::BTreeMap;

use capstan_client::spin_cycle::{JobStatus, RunningStatus};
use capstan_model::workflow::{
    chain::JobSpec,
    job::{Job, Phase},
    request::{LiveRequest, RequestState},
};

use super::{requests, shapes};
use crate::{answer::Answer, call::Head, error::ApiError, query, read, service::Inner};

pub(crate) async fn running(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let only = query::first(head.query, "requestId").filter(|id| !id.is_empty());
    let view = read::view(&api.parts.cluster, head).await?;
    let state = view.state();
    let mut status = RunningStatus { jobs: Vec::new(), requests: BTreeMap::new() };
    let wanted = state
        .requests
        .in_state(RequestState::Running)
        .filter(|live| only.as_ref().is_none_or(|only| live.id().to_string() == **only));
    for live in wanted {
        let shown = live.jobs().filter(|(_, job)| job.phase.is_active());
        status.jobs.extend(shown.map(|(spec, job)| job_status(live, spec, job)));
        let mut summary = shapes::summary(&live.summary(), &state.nodes);
        summary.jr_url = String::new();
        status.requests.insert(live.id().to_string(), summary);
    }
    status.jobs.sort_by_key(|job| job.started_at);
    Ok(requests::answer(head, &view, &status))
}

fn job_status(live: &LiveRequest, spec: &JobSpec, job: &Job) -> JobStatus {
    let begun = live.progress.started_at.unwrap_or(live.progress.created_at);
    let (started_at, status) = match job.phase {
        Phase::Running { since } => (since, ""),
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
