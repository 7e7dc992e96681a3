//! `GET /cluster/v1/events`: everything that is told, in one order, as server-sent events.

use capstan_client::{
    cluster::{EVENT_KINDS, JobDecision, JobEvent, NodeEvent, RequestEvent, TaskEvent, VariableEvent},
    spin_cycle::UtcTime,
};
use capstan_model::{
    history::{
        JobNews, JobTry, NodeNews, NodeStep, PublicEvent, Recorded, RequestNews, TaskHead, TaskNews,
        TaskState, VariableNews,
    },
    ids::RequestId,
    workflow::{job::JobState, request::RequestState},
};
use serde::Serialize;

use crate::{
    answer::Answer,
    call::Head,
    error::{ApiError, InputError},
    events::{self, Frame},
    query, receptor,
    service::Inner,
};

/// Begins a stream of the kinds named by `kind`, repeated or with commas between them; without it, of all.
pub(crate) async fn stream(api: &Inner, head: &Head<'_>) -> Result<Answer, ApiError> {
    let wanted = Kinds::of(head.query)?;
    events::stream(api, head, move |recorded| wanted.has(&recorded.event).then(|| shown(recorded))?).await
}

/// Which kinds are wanted, by their place in [`EVENT_KINDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kinds([bool; EVENT_KINDS.len()]);

impl Kinds {
    fn of(query: &str) -> Result<Self, InputError> {
        let mut wanted = [false; EVENT_KINDS.len()];
        for (_, list) in query::parameters(query).filter(|(name, _)| name == "kind") {
            for kind in list.split(',') {
                let place = EVENT_KINDS.iter().position(|known| *known == kind);
                wanted[place.ok_or_else(|| unknown(kind))?] = true;
            }
        }
        Ok(Self(if wanted.contains(&true) { wanted } else { [true; EVENT_KINDS.len()] }))
    }

    fn has(self, event: &PublicEvent) -> bool {
        let kind = match event {
            PublicEvent::Request(_) => "request",
            PublicEvent::Job(_) => "job",
            PublicEvent::Node(_) => "node",
            PublicEvent::Variable(_) => "variable",
            PublicEvent::Task(_) => "task",
            PublicEvent::Lrp(_) => "lrp",
        };
        EVENT_KINDS.iter().zip(self.0).any(|(known, wanted)| wanted && *known == kind)
    }
}

fn unknown(kind: &str) -> InputError {
    let shown: String = kind.chars().take(100).collect();
    let reason = format!("parameter kind: {shown:?} is none of {}", EVENT_KINDS.join(", "));
    InputError::Query { reason }
}

fn shown(recorded: &Recorded) -> Option<Frame> {
    let at = UtcTime::from_unix_nanos(recorded.at.0);
    Some(match &recorded.event {
        PublicEvent::Lrp(event) => return receptor::events::shown(event, Some(at)),
        PublicEvent::Request(news) => of_request(at, news),
        PublicEvent::Job(news) => of_job(at, news),
        PublicEvent::Node(news) => of_node(at, *news),
        PublicEvent::Variable(news) => of_variable(at, news),
        PublicEvent::Task(news) => of_task(at, news),
    })
}

fn of_request(at: UtcTime, news: &RequestNews) -> Frame {
    let bare = |id: &RequestId| {
        let (request_type, user, state, by, node) = (None, None, None, None, None);
        RequestEvent { at, id: id.to_string(), request_type, user, state, by, node }
    };
    let event = |id: &RequestId, state: RequestState| RequestEvent {
        state: Some(state.name().to_owned()),
        ..bare(id)
    };
    let by = |id: &RequestId, by: &str| RequestEvent { by: Some(by.to_owned()), ..bare(id) };
    match news {
        RequestNews::Created { request, request_type, user } => {
            let (request_type, user) = (Some(request_type.to_string()), Some(user.to_string()));
            let created = event(request, RequestState::Pending);
            frame("request_created", &RequestEvent { request_type, user, ..created })
        }
        RequestNews::Owned { request, owner } => {
            let owned = event(request, RequestState::Running);
            frame("request_changed", &RequestEvent { node: Some(owner.0), ..owned })
        }
        RequestNews::Suspended { request } => {
            frame("request_changed", &event(request, RequestState::Suspended))
        }
        RequestNews::Ended { request, state } => frame("request_ended", &event(request, *state)),
        RequestNews::Paused { request, by: who } => frame("request_paused", &by(request, who)),
        RequestNews::Resumed { request, by: who } => frame("request_resumed", &by(request, who)),
        RequestNews::TimedOut { request } => frame("request_timed_out", &bare(request)),
    }
}

fn of_job(at: UtcTime, news: &JobNews) -> Frame {
    let event = |job: &JobTry, state: JobState| JobEvent {
        at,
        request_id: job.request.to_string(),
        id: job.job.to_string(),
        name: job.name.to_string(),
        try_no: job.try_no.0,
        state: state.name().to_owned(),
        decision: None,
    };
    match news {
        JobNews::Started(job) => frame("job_started", &event(job, JobState::Running)),
        JobNews::Ended { job, state } => frame("job_ended", &event(job, *state)),
        JobNews::Decided { job, approved, by, comment } => {
            let (by, comment) = (by.to_string(), comment.to_string());
            let decision = Some(JobDecision { approved: *approved, by, comment });
            frame("job_decided", &JobEvent { decision, ..event(job, JobState::Running) })
        }
    }
}

fn of_node(at: UtcTime, NodeNews { incarnation, step }: NodeNews) -> Frame {
    let name = match step {
        NodeStep::Joined => "node_joined",
        NodeStep::Lost => "node_lost",
        NodeStep::Drained => "node_drained",
        NodeStep::Undrained => "node_undrained",
        NodeStep::Leaving => "node_leaving",
        NodeStep::Left => "node_left",
    };
    frame(name, &NodeEvent { at, id: incarnation.node.0, incarnation: incarnation.boot })
}

fn of_variable(at: UtcTime, news: &VariableNews) -> Frame {
    match news {
        VariableNews::Set { name, revision } => {
            let name = name.as_str().to_owned();
            frame("variable_set", &VariableEvent { at, name, revision: Some(*revision) })
        }
        VariableNews::Deleted { name } => {
            let name = name.as_str().to_owned();
            frame("variable_deleted", &VariableEvent { at, name, revision: None })
        }
    }
}

fn of_task(at: UtcTime, news: &TaskNews) -> Frame {
    let event = |task: &TaskHead, state: Option<TaskState>| TaskEvent {
        at,
        task_guid: task.guid.to_string(),
        domain: task.domain.to_string(),
        state: state.map(|state| name(state).to_owned()),
        cell_id: None,
        failed: false,
    };
    match news {
        TaskNews::Created(task) => frame("task_created", &event(task, Some(TaskState::Pending))),
        TaskNews::Changed { task, state, cell, failed } => {
            let cell_id = cell.map(receptor::cell_id);
            let changed = TaskEvent { cell_id, failed: *failed, ..event(task, Some(*state)) };
            frame("task_changed", &changed)
        }
        TaskNews::Removed(task) => frame("task_removed", &event(task, None)),
    }
}

fn name(state: TaskState) -> &'static str {
    match state {
        TaskState::Pending => "PENDING",
        TaskState::Running => "RUNNING",
        TaskState::Completed => "COMPLETED",
        TaskState::Resolving => "RESOLVING",
    }
}

fn frame(name: &'static str, data: &impl Serialize) -> Frame {
    Frame { name, data: serde_json::to_vec(data).expect("wire types are plain data with text keys") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_or_all_of_them() {
        let of = |query: &str| {
            let kinds = Kinds::of(query).unwrap();
            let wanted = EVENT_KINDS.into_iter().zip(kinds.0).filter(|(_, wanted)| *wanted);
            wanted.map(|(kind, _)| kind).collect::<Vec<_>>()
        };
        assert_eq!(of(""), EVENT_KINDS);
        assert_eq!(of("x=y"), EVENT_KINDS);
        assert_eq!(of("kind=job"), ["job"]);
        assert_eq!(of("kind=lrp,request&kind=node"), ["request", "node", "lrp"]);
        for query in ["kind", "kind=", "kind=jobs", "kind=Job", "kind=job,"] {
            let refused = Kinds::of(query).unwrap_err().to_string();
            assert!(refused.contains("request, job, node, variable, task, lrp"), "{query}: {refused}");
        }
    }
}
