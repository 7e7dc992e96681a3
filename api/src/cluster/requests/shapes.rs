//! From the model's requests to those of Capstan's own surface.

use capstan_client::{
    cluster::{ApprovalDecision, AwaitedApproval, JobState, RequestDetail, RequestPause},
    spin_cycle::UtcTime,
};
use capstan_model::{
    archive::Beyond,
    ids::{JobId, TryNo},
    time::Timestamp,
    workflow::{
        approval::Decision,
        chain::JobPlace,
        json::JsonText,
        request::LiveRequest,
        view::{self, Awaiting},
    },
};

/// A request with everything; `live` as long as it has not ended.
pub(super) fn detail(
    detail: &view::RequestDetail,
    beyond: &Beyond,
    live: Option<&LiveRequest>,
) -> RequestDetail {
    let summary = &detail.summary;
    // A request that has ended is not paused any more.
    let paused = beyond.control.paused.as_ref().filter(|_| live.is_some());
    let retry_of = beyond.terms.retry_of.as_ref();
    RequestDetail {
        id: summary.id.to_string(),
        kind: summary.request_type.to_string(),
        user: summary.user.to_string(),
        state: summary.state.name().to_owned(),
        created_at: time(summary.created_at),
        started_at: summary.started_at.map(time),
        finished_at: summary.finished_at.map(time),
        node: summary.owner.map(|owner| owner.node.0),
        specs: detail.created.specs.map(|version| version.to_string()),
        total_jobs: summary.total_jobs,
        finished_jobs: summary.finished_jobs,
        timeout: beyond.terms.timeout.as_ref().map(ToString::to_string),
        deadline: live.and_then(LiveRequest::deadline).map(time),
        timed_out_at: beyond.control.timed_out_at.map(time),
        paused: paused.map(|pause| RequestPause { by: pause.by.to_string(), since: time(pause.since) }),
        retry_of: retry_of.map(|retry_of| retry_of.request.to_string()),
        retried_by: beyond.retried_by.iter().map(ToString::to_string).collect(),
        awaiting: live
            .into_iter()
            .flat_map(LiveRequest::awaiting)
            .map(|awaited| awaiting(&awaited))
            .collect(),
        decisions: beyond.decisions.iter().map(decision).collect(),
        jobs: detail.created.chain.in_order().into_iter().map(|place| job(detail, beyond, place)).collect(),
    }
}

fn awaiting(awaited: &Awaiting<'_>) -> AwaitedApproval {
    let message = awaited.spec.args.get("message").and_then(JsonText::to_text);
    AwaitedApproval {
        job_id: awaited.spec.id.to_string(),
        name: awaited.spec.name.to_string(),
        try_no: awaited.try_no.0,
        message: message.unwrap_or_default(),
        since: time(awaited.since),
        deadline: awaited.deadline.map(time),
    }
}

fn decision((job, try_no, decision): &(JobId, TryNo, Decision)) -> ApprovalDecision {
    ApprovalDecision {
        job_id: job.to_string(),
        try_no: try_no.0,
        approved: decision.approved,
        by: decision.by.to_string(),
        comment: decision.comment.to_string(),
        at: time(decision.at),
    }
}

fn job(detail: &view::RequestDetail, beyond: &Beyond, place: JobPlace) -> JobState {
    let spec = detail.created.chain.job(place);
    let now = detail.jobs[place.0 as usize];
    JobState {
        id: spec.id.to_string(),
        name: spec.name.to_string(),
        kind: spec.job_type.to_string(),
        state: now.state.name().to_owned(),
        try_no: now.try_no.0,
        timeout: beyond.terms.try_timeout(place).map(ToString::to_string),
        kept: beyond.terms.keeps(place),
    }
}

fn time(at: Timestamp) -> UtcTime {
    UtcTime::from_unix_nanos(at.0)
}
