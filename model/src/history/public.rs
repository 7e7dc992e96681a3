//! What everybody is told: little of what is large, and nothing of what a variable holds.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    event::Event,
    ids::{Incarnation, JobId, NodeId, RequestId, TryNo, VariableName},
    lrp::{event::LrpEvent, guid::Guid},
    state::State,
    task::{Phase, Task, TaskEvent},
    workflow::{chain::JobPlace, event::WorkflowEvent, job::JobState, request::RequestState},
};

/// A public event.
#[derive(Debug, Clone, PartialEq)]
pub enum PublicEvent {
    /// A desired LRP or a record of an index was created, changed or removed.
    Lrp(LrpEvent),
    /// Something happened to a task.
    Task(TaskNews),
    /// Something happened to a request.
    Request(RequestNews),
    /// Something happened to a job.
    Job(JobNews),
    /// Something happened to a node.
    Node(NodeNews),
    /// Something happened to a variable.
    Variable(VariableNews),
}

/// What is told of a task. A shipped variant is never edited; new ones go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskNews {
    /// It was desired.
    Created(TaskHead),
    /// It goes from one state to another.
    Changed {
        /// Which.
        task: TaskHead,
        /// Its state.
        state: TaskState,
        /// Where it is done, or was; `None` if nowhere.
        cell: Option<NodeId>,
        /// Whether it has failed.
        failed: bool,
    },
    /// It is gone.
    Removed(TaskHead),
}

/// Names a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskHead {
    /// Its name.
    pub guid: Guid,
    /// Its domain.
    pub domain: Arc<str>,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TaskState {
    /// It waits to be placed.
    Pending,
    /// A cell does it.
    Running,
    /// It is done, or failed.
    Completed,
    /// So it is, and its callback is being called.
    Resolving,
}

/// What is told of a request. A shipped variant is never edited; new ones go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestNews {
    /// It was stored.
    Created {
        /// Which.
        request: RequestId,
        /// The name of its spec.
        request_type: Arc<str>,
        /// Who asked for it; empty without auth.
        user: Arc<str>,
    },
    /// A node runs it from now on.
    Owned {
        /// Which.
        request: RequestId,
        /// Who.
        owner: NodeId,
    },
    /// It waits for a node that can go on.
    Suspended {
        /// Which.
        request: RequestId,
    },
    /// It is over.
    Ended {
        /// Which.
        request: RequestId,
        /// How.
        state: RequestState,
    },
}

/// What is told of a job. A shipped variant is never edited; new ones go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobNews {
    /// A try is to run.
    Started(JobTry),
    /// A try is over; of a `noop` nothing else is told.
    Ended {
        /// Which.
        job: JobTry,
        /// How, as its log shows it. What becomes of the job is told by what follows.
        state: JobState,
    },
}

/// Names one try of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobTry {
    /// The request.
    pub request: RequestId,
    /// The job.
    pub job: JobId,
    /// The job's name in its spec.
    pub name: Arc<str>,
    /// The try.
    pub try_no: TryNo,
}

/// What is told of a node. A shipped variant is never edited; new ones go at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeNews {
    /// Its life.
    pub incarnation: Incarnation,
    /// What happened.
    pub step: NodeStep,
}

/// What happened to a node. A shipped variant is never edited; new ones go at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeStep {
    /// It began this life.
    Joined,
    /// This life was declared lost.
    Lost,
    /// It takes no new work and hands over what it has.
    Drained,
    /// It takes work again.
    Undrained,
    /// This life is about to end in good order.
    Leaving,
    /// This life has ended in good order.
    Left,
}

/// What is told of a variable; never its value. A shipped variant is never edited; new ones go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum VariableNews {
    /// It was set.
    Set {
        /// Which.
        name: VariableName,
        /// Its new revision.
        revision: u64,
    },
    /// It was removed.
    Deleted {
        /// Which.
        name: VariableName,
    },
}

impl PublicEvent {
    /// What is told of an event, in the state it left; `None` of one that is not public.
    pub(super) fn of(event: &Event, state: &State) -> Option<Self> {
        Some(match event {
            Event::Lrp(event) if is_public(event) => Self::Lrp(event.clone()),
            Event::Task(event) => Self::Task(TaskNews::of(event)),
            Event::Workflow(event) => return of_workflow(event, state),
            Event::NodeJoined(joined) => Self::node(joined.incarnation, NodeStep::Joined),
            Event::NodeLost { incarnation } => {
                let is_leaving = state.nodes.get(&incarnation.node).is_some_and(|record| record.leaving);
                Self::node(*incarnation, if is_leaving { NodeStep::Left } else { NodeStep::Lost })
            }
            Event::NodeLeaving { incarnation } => Self::node(*incarnation, NodeStep::Leaving),
            Event::NodeDrained { node, draining } => {
                let step = if *draining { NodeStep::Drained } else { NodeStep::Undrained };
                let record = state.nodes.get(node).expect("only a known node is drained");
                Self::node(record.incarnation, step)
            }
            Event::VariablePut { name, revision, value: _ } => {
                Self::Variable(VariableNews::Set { name: name.clone(), revision: *revision })
            }
            Event::VariableDeleted { name } => Self::Variable(VariableNews::Deleted { name: name.clone() }),
            Event::Lrp(_)
            | Event::ClusterFounded(_)
            | Event::SessionEnded { .. }
            | Event::SettingChanged(_)
            | Event::SpecsPushed { .. }
            | Event::SpecsDropped { .. }
            | Event::HistoryTrimmed { .. } => return None,
        })
    }

    fn node(incarnation: Incarnation, step: NodeStep) -> Self {
        Self::Node(NodeNews { incarnation, step })
    }
}

fn is_public(event: &LrpEvent) -> bool {
    match event {
        LrpEvent::DesiredCreated(_)
        | LrpEvent::DesiredChanged { .. }
        | LrpEvent::DesiredRemoved(_)
        | LrpEvent::ActualCreated { .. }
        | LrpEvent::ActualChanged { .. }
        | LrpEvent::ActualRemoved { .. } => true,
        LrpEvent::StopAsked { .. }
        | LrpEvent::DomainFresh { .. }
        | LrpEvent::DomainExpired { .. }
        | LrpEvent::CellChanged(_)
        | LrpEvent::CellEnded { .. } => false,
    }
}

fn of_workflow(event: &WorkflowEvent, state: &State) -> Option<PublicEvent> {
    Some(match event {
        WorkflowEvent::RequestCreated { request, .. } => PublicEvent::Request(RequestNews::Created {
            request: request.id,
            request_type: request.request_type.clone(),
            user: request.user.clone(),
        }),
        WorkflowEvent::RequestOwned { request, owner, .. } => {
            PublicEvent::Request(RequestNews::Owned { request: *request, owner: owner.node })
        }
        WorkflowEvent::RequestSuspended { request, .. } => {
            PublicEvent::Request(RequestNews::Suspended { request: *request })
        }
        WorkflowEvent::RequestEnded { request, state, .. } => {
            PublicEvent::Request(RequestNews::Ended { request: *request, state: *state })
        }
        WorkflowEvent::TryStarted { request, job, try_no, .. } => {
            PublicEvent::Job(JobNews::Started(JobTry::of(state, *request, *job, *try_no)))
        }
        WorkflowEvent::TryEnded(ended) => PublicEvent::Job(JobNews::Ended {
            job: JobTry::of(state, ended.request, ended.job, ended.try_no),
            state: ended.report.end.state(),
        }),
        WorkflowEvent::JobReady { .. }
        | WorkflowEvent::ExpansionsAdmitted { .. }
        | WorkflowEvent::ParallelClosed { .. }
        | WorkflowEvent::SequenceFailed { .. }
        | WorkflowEvent::SequenceReset { .. }
        | WorkflowEvent::JobWithdrawn { .. }
        | WorkflowEvent::RequestStopped { .. } => return None,
    })
}

impl JobTry {
    fn of(state: &State, request: RequestId, place: JobPlace, try_no: TryNo) -> Self {
        let live =
            state.requests.get(&request).expect("a request is live as long as a job of it starts or ends");
        let spec = live.chain().job(place);
        Self { request, job: spec.id, name: spec.name.clone(), try_no }
    }
}

impl TaskNews {
    fn of(event: &TaskEvent) -> Self {
        match event {
            TaskEvent::Created(task) => Self::Created(TaskHead::of(task)),
            TaskEvent::Changed { after, .. } => Self::Changed {
                task: TaskHead::of(after),
                state: TaskState::of(&after.phase),
                cell: after.cell().map(|cell| cell.node),
                failed: after.completed().is_some_and(|completed| completed.outcome.failed),
            },
            TaskEvent::Removed(task) => Self::Removed(TaskHead::of(task)),
        }
    }
}

impl TaskHead {
    fn of(task: &Task) -> Self {
        Self { guid: task.guid.clone(), domain: task.definition.domain.clone() }
    }
}

impl TaskState {
    fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Pending => Self::Pending,
            Phase::Running { .. } => Self::Running,
            Phase::Completed(_) => Self::Completed,
            Phase::Resolving(_) => Self::Resolving,
        }
    }
}
