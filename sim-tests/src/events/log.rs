//! What there is to be told, derived from what the entries of the committed log did; the rows that nodes read are not looked at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use capstan_client::spin_cycle::UtcTime;
use capstan_model::{
    event::Event,
    history::EventId,
    ids::{Incarnation, NodeId, RequestId, TryNo},
    lrp::event::LrpEvent,
    sometimes,
    task::TaskEvent,
    workflow::{chain::JobPlace, command::CreateRequest, event::WorkflowEvent},
};
use serde_json::{Value, json};

use super::TailPlace;
use crate::{ledger::Committed, net::Place};

/// An event that is to be told.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    id: EventId,
    kind: &'static str,
    name: &'static str,
    /// Some of its data, enough to know it by.
    data: Value,
}

/// All events that are to be told, in their order.
#[derive(Debug, Default)]
pub struct EventLog {
    told: Vec<Told>,
    /// By the index from which on it is so: how many of the first events are kept no more.
    floors: BTreeMap<u64, usize>,
    /// The newest index that anybody was told of.
    acknowledged: u64,
    /// Every request as it was asked for, with its jobs.
    requests: BTreeMap<RequestId, Arc<CreateRequest>>,
    /// The newest life of each node.
    lives: BTreeMap<NodeId, Incarnation>,
    /// Lives that end in good order.
    leaving: BTreeSet<Incarnation>,
    /// The index of the newest snapshot that each node has installed.
    installed: BTreeMap<Place, u64>,
}

/// The kind, the name and the data of an event.
type News = (&'static str, &'static str, Value);

impl Told {
    /// Its id.
    pub(crate) fn id(&self) -> EventId {
        self.id
    }

    /// Whether a stream of these kinds tells of it; none are all.
    fn is_of(&self, kinds: &[&str]) -> bool {
        kinds.is_empty() || kinds.contains(&self.kind)
    }

    /// Whether an event that was told is this one.
    pub(crate) fn is_told(&self, name: &str, data: &Value) -> bool {
        // Under `/v1` events have no time.
        let is_left_out = |key: &str| key == "at" && self.kind == "lrp" && data.get(key).is_none();
        let is_there = |(key, value): (&String, &Value)| data.get(key) == Some(value) || is_left_out(key);
        self.name == name && self.data.as_object().is_some_and(|wanted| wanted.iter().all(is_there))
    }
}

impl EventLog {
    /// Takes the next entry.
    pub(crate) fn heed(&mut self, committed: &Committed) {
        let index = committed.index;
        let at = json!(UtcTime::from_unix_nanos(committed.after.log_time().0));
        let mut ordinal = 0;
        for event in &committed.events {
            if let Event::HistoryTrimmed { below } = event {
                sometimes!("old events are removed");
                let below = usize::try_from(*below).expect("what is counted fits");
                self.floors.insert(index, below);
            }
            let Some((kind, name, mut data)) = self.news(event) else { continue };
            if let Some(data) = data.as_object_mut() {
                data.insert("at".to_owned(), at.clone());
            }
            self.told.push(Told { id: EventId { index, ordinal }, kind, name, data });
            ordinal += 1;
        }
    }

    /// A node has answered a write from the state at this index.
    pub(crate) fn acknowledge(&mut self, index: u64) {
        self.acknowledged = self.acknowledged.max(index);
    }

    /// A node has installed a snapshot.
    pub(crate) fn install(&mut self, node: Place, index: u64) {
        self.installed.insert(node, index);
    }

    /// The newest index that anybody was told of.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Whether a node has this event from a snapshot.
    pub(crate) fn is_installed(&self, node: Place, id: EventId) -> bool {
        self.installed.get(&node).is_some_and(|index| *index >= id.index)
    }

    /// How many events there are.
    pub(crate) fn len(&self) -> usize {
        self.told.len()
    }

    /// The number of the first event behind this one.
    pub(crate) fn behind(&self, id: EventId) -> usize {
        self.told.partition_point(|told| told.id <= id)
    }

    /// The number of the first event behind all of the state at this index.
    pub(crate) fn behind_index(&self, index: u64) -> usize {
        self.told.partition_point(|told| told.id.index <= index)
    }

    /// The number of the first event that a stream begins with.
    pub(crate) fn first_of(&self, beginning: &super::Beginning) -> usize {
        beginning.behind.map_or_else(|| self.behind_index(beginning.index), |id| self.behind(id))
    }

    /// How many of the first events are kept no more in the state at this index.
    pub(crate) fn floor_at(&self, index: u64) -> usize {
        self.floors.range(..=index).next_back().map_or(0, |(_, floor)| *floor)
    }

    /// The event of this id.
    pub(crate) fn find(&self, id: EventId) -> Option<&Told> {
        self.told.binary_search_by_key(&id, |told| told.id).ok().map(|number| &self.told[number])
    }

    /// The first event of these kinds from a number on.
    pub(crate) fn next(&self, from: usize, kinds: &[&str]) -> Option<&Told> {
        self.told.get(from..)?.iter().find(|told| told.is_of(kinds))
    }

    /// Whether an event of the same entry comes behind this one.
    pub(crate) fn is_amid_entry(&self, id: EventId) -> bool {
        self.told.get(self.behind(id)).is_some_and(|next| next.id.index == id.index)
    }

    /// An event among so many of the first that a tailer is still to be told of.
    pub(crate) fn untold(&self, place: &TailPlace, upto: usize) -> Option<EventId> {
        if !place.follows {
            return self.told.last().map(|last| last.id);
        }
        self.told.get(place.told..upto)?.iter().find(|told| told.is_of(&place.kinds)).map(|told| told.id)
    }

    fn news(&mut self, event: &Event) -> Option<News> {
        Some(match event {
            Event::VariablePut { name, revision, .. } => {
                ("variable", "variable_set", json!({ "name": name.as_str(), "revision": revision }))
            }
            Event::VariableDeleted { name } => {
                ("variable", "variable_deleted", json!({ "name": name.as_str() }))
            }
            Event::NodeJoined(joined) => {
                self.lives.insert(joined.incarnation.node, joined.incarnation);
                of_node("node_joined", joined.incarnation)
            }
            Event::NodeLost { incarnation } => {
                let is_left = self.leaving.contains(incarnation);
                of_node(if is_left { "node_left" } else { "node_lost" }, *incarnation)
            }
            Event::NodeLeaving { incarnation } => {
                self.leaving.insert(*incarnation);
                of_node("node_leaving", *incarnation)
            }
            Event::NodeDrained { node, draining } => {
                of_node(if *draining { "node_drained" } else { "node_undrained" }, *self.lives.get(node)?)
            }
            Event::Workflow(event) => return self.of_workflow(event),
            Event::Task(event) => of_task(event),
            Event::Lrp(event) => return of_lrp(event),
            Event::ClusterFounded(_)
            | Event::SessionEnded { .. }
            | Event::SettingChanged(_)
            | Event::HistoryTrimmed { .. }
            | Event::RequestsTrimmed(_)
            | Event::Auth(_)
            | Event::SpecsPushed { .. }
            | Event::SpecsDropped { .. } => return None,
        })
    }

    fn of_workflow(&mut self, event: &WorkflowEvent) -> Option<News> {
        let id = event.request().to_string();
        Some(match event {
            WorkflowEvent::RequestCreated { request, .. } => {
                self.requests.insert(request.id, Arc::clone(request));
                let data = json!({ "id": id, "type": &*request.request_type, "state": "PENDING" });
                ("request", "request_created", data)
            }
            WorkflowEvent::RequestOwned { owner, .. } => {
                let data = json!({ "id": id, "state": "RUNNING", "node": owner.node.0 });
                ("request", "request_changed", data)
            }
            WorkflowEvent::RequestSuspended { .. } => {
                ("request", "request_changed", json!({ "id": id, "state": "SUSPENDED" }))
            }
            WorkflowEvent::RequestEnded { state, .. } => {
                ("request", "request_ended", json!({ "id": id, "state": state.name() }))
            }
            WorkflowEvent::TryStarted { request, job, try_no, .. } => {
                ("job", "job_started", self.of_job(*request, *job, *try_no, "RUNNING")?)
            }
            WorkflowEvent::TryEnded(ended) => {
                let state = ended.report.end.state().name();
                ("job", "job_ended", self.of_job(ended.request, ended.job, ended.try_no, state)?)
            }
            WorkflowEvent::ApprovalDecided { request, job, try_no, decision } => {
                let mut data = self.of_job(*request, *job, *try_no, "RUNNING")?;
                let (approved, comment) = (decision.approved, &*decision.comment);
                data["decision"] = json!({ "approved": approved, "by": &*decision.by, "comment": comment });
                ("job", "job_decided", data)
            }
            WorkflowEvent::RequestPaused { by, .. } => {
                ("request", "request_paused", json!({ "id": id, "by": &**by }))
            }
            WorkflowEvent::RequestResumed { by, .. } => {
                ("request", "request_resumed", json!({ "id": id, "by": &**by }))
            }
            WorkflowEvent::RequestTimedOut { .. } => ("request", "request_timed_out", json!({ "id": id })),
            _ => return None,
        })
    }

    fn of_job(&self, request: RequestId, job: JobPlace, try_no: TryNo, state: &str) -> Option<Value> {
        let spec = self.requests.get(&request)?.chain.job(job);
        Some(json!({
            "request_id": request.to_string(),
            "id": spec.id.to_string(),
            "name": &*spec.name,
            "try": try_no.0,
            "state": state,
        }))
    }
}

fn of_node(name: &'static str, life: Incarnation) -> News {
    ("node", name, json!({ "id": life.node.0, "incarnation": life.boot }))
}

fn of_task(event: &TaskEvent) -> News {
    let (name, task) = match event {
        TaskEvent::Created(task) => ("task_created", task),
        TaskEvent::Changed { after, .. } => ("task_changed", after),
        TaskEvent::Removed(task) => ("task_removed", task),
    };
    ("task", name, json!({ "task_guid": task.guid.to_string(), "domain": &*task.definition.domain }))
}

fn of_lrp(event: &LrpEvent) -> Option<News> {
    let name = match event {
        LrpEvent::DesiredCreated(_) => "desired_lrp_created",
        LrpEvent::DesiredChanged { .. } => "desired_lrp_changed",
        LrpEvent::DesiredRemoved(_) => "desired_lrp_removed",
        LrpEvent::ActualCreated { .. } => "actual_lrp_created",
        LrpEvent::ActualChanged { .. } => "actual_lrp_changed",
        LrpEvent::ActualRemoved { .. } => "actual_lrp_removed",
        _ => return None,
    };
    Some(("lrp", name, json!({})))
}

#[cfg(test)]
impl EventLog {
    /// A log of such events, by the index and the kind of each; indexes with several are entries that made several.
    pub(crate) fn of(events: &[(u64, &'static str)]) -> Self {
        let mut log = Self::default();
        for (index, kind) in events {
            let newest = log.told.last().filter(|last| last.id.index == *index);
            let ordinal = newest.map_or(0, |last| last.id.ordinal + 1);
            let id = EventId { index: *index, ordinal };
            log.told.push(Told { id, kind, name: kind, data: json!({ "number": log.told.len() }) });
        }
        log
    }

    /// The same, from an index on without so many of the first.
    pub(crate) fn trimmed(mut self, index: u64, below: usize) -> Self {
        self.floors.insert(index, below);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(index: u64, ordinal: u32) -> EventId {
        EventId { index, ordinal }
    }

    #[test]
    fn a_place_in_the_log_is_found_by_event_and_by_index() {
        let log = EventLog::of(&[(3, "a"), (3, "b"), (3, "a"), (7, "b")]);
        assert_eq!(
            [id(2, 9), id(3, 0), id(3, 2), id(5, 0), id(7, 0)].map(|id| log.behind(id)),
            [0, 1, 3, 3, 4]
        );
        assert_eq!([2, 3, 6, 7].map(|index| log.behind_index(index)), [0, 3, 3, 4]);
        assert_eq!([id(3, 0), id(3, 2), id(7, 0)].map(|id| log.is_amid_entry(id)), [true, false, false]);
        let next = |from, kinds: &[&str]| log.next(from, kinds).map(Told::id);
        assert_eq!(next(1, &[]), Some(id(3, 1)));
        assert_eq!(next(1, &["a"]), Some(id(3, 2)));
        assert_eq!(next(3, &["a"]), None);
    }

    #[test]
    fn a_floor_holds_from_its_index_on() {
        let log = EventLog::of(&[(3, "a"), (4, "a"), (7, "b")]).trimmed(5, 1).trimmed(8, 2);
        assert_eq!([4, 5, 7, 8].map(|index| log.floor_at(index)), [0, 1, 1, 2]);
    }

    #[test]
    fn a_tailer_waits_for_what_it_asks_for_and_was_not_told() {
        let log = EventLog::of(&[(3, "a"), (4, "b"), (7, "a")]);
        let place = |told, follows| TailPlace { tailer: 1, kinds: vec!["a"], told, follows };
        assert_eq!(log.untold(&place(1, true), 3), Some(id(7, 0)));
        assert_eq!(log.untold(&place(1, true), 2), None, "what happened later is not waited for");
        assert_eq!(log.untold(&place(3, true), 3), None);
        assert_eq!(log.untold(&place(3, false), 3), Some(id(7, 0)), "nor was it told of anything yet");
    }

    #[test]
    fn an_event_is_known_by_name_and_data() {
        let log = EventLog::of(&[(3, "a")]);
        let told = log.find(id(3, 0)).expect("it is there");
        assert!(told.is_told("a", &json!({ "number": 0, "more": 1 })));
        assert!(!told.is_told("b", &json!({ "number": 0 })) && !told.is_told("a", &json!({ "number": 1 })));
        assert!(log.find(id(3, 1)).is_none());
    }
}
