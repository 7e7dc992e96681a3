//! From the model's requests, chains and logs to Spin Cycle's.

use capstan_client::spin_cycle::{self as wire, UtcTime};
use capstan_model::{
    archive::JobLog,
    ids::Incarnation,
    nodes::Nodes,
    spec::ArgKind,
    time::Timestamp,
    workflow::{
        FinishedJob,
        chain::{JobPlace, JobSpec, ValidChain},
        command::RequestArg,
        job::JobState,
        json::JsonMap,
        request::RequestState,
        view::{RequestDetail, RequestSummary},
    },
};
use serde_json::{Map, Value};

/// A request as lists show it.
pub(super) fn summary(summary: &RequestSummary, nodes: &Nodes) -> wire::Request {
    wire::Request {
        id: summary.id.to_string(),
        kind: summary.request_type.to_string(),
        state: request_state(summary.state),
        user: summary.user.to_string(),
        args: Vec::new(),
        created_at: time(summary.created_at),
        started_at: summary.started_at.map(time),
        finished_at: summary.finished_at.map(time),
        job_chain: None,
        total_jobs: summary.total_jobs.into(),
        finished_jobs: summary.finished_jobs.into(),
        jr_url: summary.owner.map(|owner| runner_url(owner, nodes)).unwrap_or_default(),
    }
}

/// A request as the answer to its creation shows it: with args, without chain and runner.
pub(super) fn created(detail: &RequestDetail, nodes: &Nodes) -> wire::Request {
    let args = detail.created.args.iter().map(arg).collect();
    wire::Request { args, jr_url: String::new(), ..summary(&detail.summary, nodes) }
}

/// A request with everything.
pub(crate) fn detail(detail: &RequestDetail, nodes: &Nodes) -> wire::Request {
    let args = detail.created.args.iter().map(arg).collect();
    wire::Request { args, job_chain: Some(Box::new(chain(detail))), ..summary(&detail.summary, nodes) }
}

/// A request's chain, with the states its jobs have now.
pub(super) fn chain(detail: &RequestDetail) -> wire::JobChain {
    let chain = &detail.created.chain;
    let jobs = chain.places().zip(&detail.jobs).map(|(place, now)| {
        let job = job(chain, place, *now);
        (job.id.clone(), job)
    });
    let successors =
        |spec: &JobSpec| spec.successors.iter().map(|place| chain.job(*place).id.to_string()).collect();
    let with_successors = chain.jobs().iter().filter(|spec| !spec.successors.is_empty());
    wire::JobChain {
        request_id: detail.summary.id.to_string(),
        jobs: jobs.collect(),
        adjacency_list: with_successors.map(|spec| (spec.id.to_string(), successors(spec))).collect(),
        state: request_state(detail.summary.state),
        finished_jobs: detail.summary.finished_jobs.into(),
    }
}

/// The log of one try.
pub(crate) fn log(log: &JobLog) -> wire::JobLogEntry {
    wire::JobLogEntry {
        request_id: log.request.to_string(),
        job_id: log.job.to_string(),
        try_no: log.try_no.0.into(),
        name: log.name.to_string(),
        kind: log.job_type.to_string(),
        started_at: unix_nanos(log.started_at),
        finished_at: unix_nanos(log.finished_at),
        state: job_state(log.state),
        exit: log.exit,
        error: log.error.to_string(),
        stdout: log.stdout.text(),
        stderr: log.stderr.text(),
    }
}

pub(super) fn arg_kind(kind: ArgKind) -> wire::ArgKind {
    match kind {
        ArgKind::Required => wire::ArgKind::Required,
        ArgKind::Optional => wire::ArgKind::Optional,
        ArgKind::Static => wire::ArgKind::Static,
    }
}

fn job(chain: &ValidChain, place: JobPlace, now: FinishedJob) -> wire::Job {
    let spec = chain.job(place);
    let sequence = chain.sequence(spec.sequence);
    let begins = sequence.begin == place;
    let sequence_wait = sequence.retry_wait.as_ref().filter(|_| begins);
    wire::Job {
        id: spec.id.to_string(),
        name: spec.name.to_string(),
        kind: spec.job_type.to_string(),
        bytes: spec.bytes.to_vec(),
        state: job_state(now.state),
        args: values(&spec.args),
        data: Map::new(),
        retry: spec.retry.into(),
        retry_wait: spec.retry_wait.as_ref().map(|wait| wait.text().to_string()).unwrap_or_default(),
        sequence_id: chain.sequence_id(spec).to_string(),
        sequence_retry: if begins { sequence.retry.into() } else { 0 },
        sequence_retry_wait: sequence_wait.map(|wait| wait.text().to_string()).unwrap_or_default(),
    }
}

pub(crate) fn arg(arg: &RequestArg) -> wire::RequestArg {
    let default = arg.default.as_ref().filter(|_| arg.kind == ArgKind::Optional);
    wire::RequestArg {
        pos: arg.pos.into(),
        name: arg.name.to_string(),
        desc: arg.desc.to_string(),
        kind: arg_kind(arg.kind),
        given: arg.given,
        default: default.map_or(Value::Null, |text| Value::String(text.to_string())),
        value: arg.value.to_value(),
    }
}

pub(crate) fn values(map: &JsonMap) -> Map<String, Value> {
    map.iter().map(|(name, value)| (name.to_string(), value.to_value())).collect()
}

/// The two enums share Spin Cycle's numbers.
fn request_state(state: RequestState) -> wire::State {
    wire::State::try_from(state.number()).expect("every state of a request has a number on the wire")
}

pub(super) fn job_state(state: JobState) -> wire::State {
    wire::State::try_from(state.number()).expect("every state of a job has a number on the wire")
}

/// The address under which the owner's own surface is reached; empty for a life that has ended.
fn runner_url(owner: Incarnation, nodes: &Nodes) -> String {
    match nodes.get(&owner.node) {
        Some(node) if node.incarnation == owner => format!("http://{}", node.http_address),
        _ => String::new(),
    }
}

fn time(at: Timestamp) -> UtcTime {
    UtcTime::from_unix_nanos(at.0)
}

pub(super) fn unix_nanos(at: Timestamp) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_keeps_its_number_and_name_on_the_wire() {
        for state in RequestState::ALL {
            assert_eq!(request_state(state).name(), state.name());
        }
        let jobs = [
            JobState::Unknown,
            JobState::Pending,
            JobState::Running,
            JobState::Complete,
            JobState::Failed,
            JobState::Stopped,
        ];
        for state in jobs {
            assert_eq!(job_state(state).name(), state.name());
        }
    }
}
