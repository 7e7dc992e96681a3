//! Somebody who is told public events and nothing else, and knows from them how things are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use capstan_model::{
    history::{
        EventId, JobNews, NodeNews, NodeStep, PublicEvent, RequestNews, TaskNews, TaskState, VariableNews,
        events_from,
    },
    ids::{Incarnation, JobId, NodeId, RequestId, TryNo, VariableName},
    lrp::{
        actual::{Actual, ActualKey, Presence},
        desired::Desired,
        event::LrpEvent,
        guid::Guid,
        tag::ModificationTag,
    },
    state::State,
    task,
    workflow::{job, request::RequestState},
};

use super::memory_rows::MemoryRows;

/// What is known from events alone.
#[derive(Debug, Default)]
pub(crate) struct Follower {
    /// How many events it was told.
    told: u64,
    last: Option<EventId>,
    known: Known,
}

#[derive(Debug, Default, PartialEq)]
struct Known {
    desired: BTreeMap<Guid, Arc<Desired>>,
    /// That an instance is to stop is told to its cell alone, so a record is known by its tag.
    actual: BTreeMap<(ActualKey, Presence), ModificationTag>,
    tasks: BTreeMap<Guid, TaskState>,
    requests: BTreeMap<RequestId, RequestState>,
    /// With who paused each.
    paused: BTreeMap<RequestId, Arc<str>>,
    running: BTreeSet<(RequestId, JobId, TryNo)>,
    nodes: BTreeMap<NodeId, KnownNode>,
    variables: BTreeMap<VariableName, u64>,
}

#[derive(Debug, PartialEq)]
struct KnownNode {
    life: Incarnation,
    is_over: bool,
    draining: bool,
    leaving: bool,
}

impl Follower {
    /// Reads on, and compares what it knows with how things are.
    pub(crate) fn follow(&mut self, state: &State, rows: &BTreeMap<Bytes, Bytes>) {
        let from = self.told.max(state.history.first());
        for recorded in events_from(&MemoryRows(rows), from, usize::MAX).expect("rows of events") {
            assert_eq!(recorded.number, self.told, "events are numbered without a gap");
            let ordinal = match self.last {
                Some(last) if last.index == recorded.id.index => last.ordinal + 1,
                last => {
                    assert!(last.is_none_or(|last| last.index < recorded.id.index), "{:?}", recorded.id);
                    0
                }
            };
            assert_eq!(recorded.id.ordinal, ordinal, "{:?}", recorded.id);
            (self.told, self.last) = (self.told + 1, Some(recorded.id));
            self.known.learn(recorded.event);
        }
        assert_eq!(self.told, state.history.next(), "every event has a row");
        assert_eq!(self.known, Known::of(state), "what is known from events alone");
    }
}

impl Known {
    fn learn(&mut self, event: PublicEvent) {
        match event {
            PublicEvent::Lrp(event) => self.learn_of_lrp(event),
            PublicEvent::Task(news) => self.learn_of_task(news),
            PublicEvent::Request(news) => self.learn_of_request(news),
            PublicEvent::Job(JobNews::Started(job)) => {
                assert!(self.running.insert((job.request, job.job, job.try_no)), "{job:?}");
            }
            PublicEvent::Job(JobNews::Ended { job, .. }) => {
                self.running.remove(&(job.request, job.job, job.try_no));
            }
            PublicEvent::Job(JobNews::Decided { job, .. }) => {
                assert!(self.running.contains(&(job.request, job.job, job.try_no)), "{job:?}");
            }
            PublicEvent::Node(news) => self.learn_of_node(news),
            PublicEvent::Variable(VariableNews::Set { name, revision }) => {
                self.variables.insert(name, revision);
            }
            PublicEvent::Variable(VariableNews::Deleted { name }) => {
                assert!(self.variables.remove(&name).is_some(), "{name:?}");
            }
        }
    }

    fn learn_of_lrp(&mut self, event: LrpEvent) {
        match event {
            LrpEvent::DesiredCreated(desired) => {
                assert_eq!(self.desired.insert(desired.guid.clone(), desired), None);
            }
            LrpEvent::DesiredChanged { before, after } => {
                assert_eq!(self.desired.insert(before.guid.clone(), after), Some(before));
            }
            LrpEvent::DesiredRemoved(desired) => {
                assert_eq!(self.desired.remove(&desired.guid), Some(desired));
            }
            LrpEvent::ActualCreated { key, presence, actual } => {
                assert_eq!(self.actual.insert((key, presence), actual.tag), None);
            }
            LrpEvent::ActualChanged { key, presence, before, after } => {
                assert_eq!(self.actual.insert((key, presence), after.tag), Some(before.tag));
            }
            LrpEvent::ActualRemoved { key, presence, actual } => {
                assert_eq!(self.actual.remove(&(key, presence)), Some(actual.tag));
            }
            other => panic!("nobody is told of {other:?}"),
        }
    }

    fn learn_of_task(&mut self, news: TaskNews) {
        match news {
            TaskNews::Created(task) => {
                assert_eq!(self.tasks.insert(task.guid, TaskState::Pending), None);
            }
            TaskNews::Changed { task, state, .. } => {
                assert!(self.tasks.insert(task.guid, state).is_some_and(|before| before != state));
            }
            TaskNews::Removed(task) => assert!(self.tasks.remove(&task.guid).is_some()),
        }
    }

    fn learn_of_request(&mut self, news: RequestNews) {
        match news {
            RequestNews::Created { request, .. } => {
                assert_eq!(self.requests.insert(request, RequestState::Pending), None);
            }
            RequestNews::Owned { request, .. } => {
                assert!(self.requests.insert(request, RequestState::Running).is_some());
            }
            RequestNews::Suspended { request } => {
                assert!(self.requests.insert(request, RequestState::Suspended).is_some());
            }
            RequestNews::Ended { request, state } => {
                assert!(state.is_end(), "{state:?}");
                assert!(self.requests.remove(&request).is_some());
                self.paused.remove(&request);
            }
            RequestNews::Paused { request, by } => {
                assert_eq!(self.paused.insert(request, by), None);
            }
            RequestNews::Resumed { request, .. } => {
                assert!(self.paused.remove(&request).is_some());
            }
            RequestNews::TimedOut { request } => assert!(self.requests.contains_key(&request)),
        }
    }

    fn learn_of_node(&mut self, NodeNews { incarnation: life, step }: NodeNews) {
        if step == NodeStep::Joined {
            let draining = self.nodes.get(&life.node).is_some_and(|known| known.draining);
            self.nodes.insert(life.node, KnownNode { life, is_over: false, draining, leaving: false });
            return;
        }
        let known = self.nodes.get_mut(&life.node).expect("it had joined");
        assert_eq!(known.life, life);
        match step {
            NodeStep::Joined => unreachable!("seen above"),
            NodeStep::Drained => known.draining = true,
            NodeStep::Undrained => known.draining = false,
            NodeStep::Leaving => known.leaving = true,
            NodeStep::Lost | NodeStep::Left => {
                assert_eq!(known.leaving, step == NodeStep::Left, "who left had said so");
                known.is_over = true;
            }
        }
    }

    /// What there is to be known.
    fn of(state: &State) -> Self {
        let records = state.lrps.groups().flat_map(|(key, group)| {
            let of = |presence, actual: &Option<Arc<Actual>>| {
                actual.as_ref().map(|actual| ((key.clone(), presence), actual.tag))
            };
            [of(Presence::Ordinary, &group.instance), of(Presence::Evacuating, &group.evacuating)]
        });
        let tasks = state.tasks.iter().map(|task| {
            let known = match task.phase {
                task::Phase::Pending => TaskState::Pending,
                task::Phase::Running { .. } => TaskState::Running,
                task::Phase::Completed(_) => TaskState::Completed,
                task::Phase::Resolving(_) => TaskState::Resolving,
            };
            (task.guid.clone(), known)
        });
        let running = state.requests.iter().flat_map(|request| {
            let is_begun =
                |job: &job::Job| job.phase.runs() || matches!(job.phase, job::Phase::Awaiting { .. });
            let running = request.jobs().filter(move |(_, job)| is_begun(job));
            running.map(|(spec, job)| (request.id(), spec.id, job.try_no))
        });
        let paused = state.requests.iter().filter_map(|request| {
            request.control.paused.as_ref().map(|pause| (request.id(), pause.by.clone()))
        });
        let nodes = state.nodes.iter().map(|(id, record)| {
            let (life, is_over) = (record.incarnation, record.lost);
            let known = KnownNode { life, is_over, draining: record.draining, leaving: record.leaving };
            (*id, known)
        });
        Self {
            desired: state
                .lrps
                .all_desired()
                .map(|desired| (desired.guid.clone(), desired.clone()))
                .collect(),
            actual: records.flatten().collect(),
            tasks: tasks.collect(),
            requests: state.requests.iter().map(|request| (request.id(), request.state())).collect(),
            paused: paused.collect(),
            running: running.collect(),
            nodes: nodes.collect(),
            variables: state.variables.iter().map(|(name, it)| (name.clone(), it.revision)).collect(),
        }
    }
}
