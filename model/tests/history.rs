//! Public events: what is recorded, in which order, and for how long.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::sync::Arc;

use capstan_model::{
    apply::Applied,
    command::{Command, Condition},
    event::Event,
    history::{
        EventId, NodeNews, NodeStep, PublicEvent, TRIMMED_MAX, TaskHead, TaskNews, TaskState, VariableNews,
        events_from, first_after, trim_below,
    },
    ids::{NodeId, VariableName},
    lrp::{
        command::{Desire, LrpCommand, UpdateDesired},
        definition::{Changeable, Definition, Update},
        event::LrpEvent,
    },
    rows::Table,
    settings::Setting,
    task::{
        command::{DesireTask, TaskCommand},
        definition::TaskDefinition,
    },
    time::Timestamp,
};
use common::{Replica, command_id, entry, incarnation, joined, memory_rows::MemoryRows, sealed};

const DAY: u64 = 24 * 3_600;

struct World {
    replica: Replica,
    seq: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self { replica: Replica::default(), seq: 0 };
        world.apply(1, vec![Command::NodeJoined(joined(1, 1))]);
        world
    }

    fn apply(&mut self, secs: u64, commands: Vec<Command>) -> Applied {
        let sealed = commands.into_iter().map(|command| {
            self.seq += 1;
            sealed(command_id(1, 1, self.seq), None, command)
        });
        let entry = entry(secs, vec![], sealed.collect());
        self.replica.apply(self.replica.state.index() + 1, &entry)
    }

    fn rows(&self) -> MemoryRows<'_> {
        MemoryRows(&self.replica.rows)
    }

    fn recorded(&self, from: u64, limit: usize) -> Vec<(EventId, PublicEvent)> {
        let events = events_from(&self.rows(), from, limit).unwrap();
        events.into_iter().map(|recorded| (recorded.id, recorded.event)).collect()
    }

    fn first_after(&self, id: EventId) -> Option<u64> {
        first_after(self.replica.state.history, &self.rows(), id).unwrap()
    }

    /// What the leader would propose at a time.
    fn trim_below(&self, secs: u64) -> Option<u64> {
        trim_below(&self.replica.state, &self.rows(), Timestamp(secs * 1_000_000_000)).unwrap()
    }

    fn kept(&self) -> std::ops::Range<u64> {
        self.replica.state.history.first()..self.replica.state.history.next()
    }
}

fn desire(name: &str, instances: u32) -> Command {
    let definition =
        Arc::new(Definition { domain: "d".into(), rootfs: "preloaded:host".into(), ..Definition::default() });
    let changeable = Changeable { instances, ..Changeable::default() };
    let desire = Desire { guid: name.parse().unwrap(), definition, changeable, draw: 1 };
    Command::Lrp(LrpCommand::Desire(Arc::new(desire)))
}

fn update(name: &str, instances: u32) -> Command {
    let update = Update { instances: Some(instances), ..Update::default() };
    let update = UpdateDesired { guid: name.parse().unwrap(), update, draw: 2, if_tag: None };
    Command::Lrp(LrpCommand::Update(Box::new(update)))
}

fn node(node: u64, step: NodeStep) -> PublicEvent {
    PublicEvent::Node(NodeNews { incarnation: incarnation(node, 1), step })
}

fn task_definition() -> TaskDefinition {
    TaskDefinition { domain: "d".into(), ..TaskDefinition::default() }
}

fn id(index: u64, ordinal: u32) -> EventId {
    EventId { index, ordinal }
}

#[test]
fn public_events_are_recorded_as_they_were_and_in_their_order() {
    let mut world = World::new();
    let domain = Command::Lrp(LrpCommand::UpsertDomain { domain: "d".into(), ttl_secs: None });
    let mut expected = vec![(id(1, 0), node(1, NodeStep::Joined))];
    for commands in [
        vec![desire("a", 2), domain, update("a", 1)],
        vec![desire("a", 1)],
        vec![Command::Lrp(LrpCommand::Remove { guid: "a".parse().unwrap(), if_tag: None })],
    ] {
        let applied = world.apply(1, commands);
        let public = applied.events.into_iter().filter_map(|event| match event {
            Event::Lrp(LrpEvent::DomainFresh { .. }) => None,
            Event::Lrp(event) => Some(PublicEvent::Lrp(event)),
            other => panic!("{other:?}"),
        });
        let index = world.replica.state.index();
        expected.extend((0..).zip(public).map(|(ordinal, event)| (id(index, ordinal), event)));
    }
    assert_eq!(expected.len(), 8);
    assert_eq!(world.recorded(0, 100), expected);
    assert_eq!(world.kept(), 0..8);
    assert_eq!(world.recorded(3, 2), expected[3..5]);
    assert_eq!(world.recorded(8, 100), []);

    // A reader goes on behind any of them, also behind one that was never there.
    for (number, (id, _)) in (0..).zip(&expected) {
        assert_eq!(world.first_after(*id), Some(number + 1));
    }
    assert_eq!(world.first_after(id(0, 0)), Some(0));
    assert_eq!(world.first_after(id(2, 99)), Some(6));
    assert_eq!(world.first_after(id(99, 0)), Some(8));
}

#[test]
fn nodes_variables_and_tasks_are_told_in_the_same_order() {
    let mut world = World::new();
    let put = |value: &'static [u8]| Command::PutVariable {
        name: "password".parse().unwrap(),
        value: value.into(),
        condition: Condition::Any,
    };
    let secret = b"not for everybody";
    let task = DesireTask { guid: "t".parse().unwrap(), definition: Arc::new(task_definition()) };
    world.apply(1, vec![put(b"1"), put(secret), Command::NodeJoined(joined(2, 1))]);
    world.apply(
        1,
        vec![
            Command::Task(TaskCommand::Desire(Arc::new(task))),
            Command::Task(TaskCommand::Cancel { guid: "t".parse().unwrap() }),
        ],
    );
    world.apply(1, vec![Command::DrainNode { node: NodeId(2) }, Command::UndrainNode { node: NodeId(2) }]);
    world.apply(1, vec![Command::NodeLeaving { incarnation: incarnation(2, 1) }]);
    world.apply(1, vec![Command::NodeLost { incarnation: incarnation(2, 1), term: 0 }]);
    world.apply(1, vec![Command::NodeJoined(joined(2, 2))]);
    world.apply(1, vec![Command::NodeLost { incarnation: incarnation(2, 2), term: 0 }]);
    let delete = Command::DeleteVariable { name: "password".parse().unwrap(), condition: Condition::Any };
    world.apply(1, vec![delete, Command::Task(TaskCommand::Delete { guid: "t".parse().unwrap() })]);

    let name: VariableName = "password".parse().unwrap();
    let set = |revision| PublicEvent::Variable(VariableNews::Set { name: name.clone(), revision });
    let task = TaskHead { guid: "t".parse().unwrap(), domain: "d".into() };
    let cancelled =
        TaskNews::Changed { task: task.clone(), state: TaskState::Completed, cell: None, failed: true };
    let again = |step| PublicEvent::Node(NodeNews { incarnation: incarnation(2, 2), step });
    let expected = [
        (id(2, 0), set(1)),
        (id(2, 1), set(2)),
        (id(2, 2), node(2, NodeStep::Joined)),
        (id(3, 0), PublicEvent::Task(TaskNews::Created(task.clone()))),
        (id(3, 1), PublicEvent::Task(cancelled)),
        (id(4, 0), node(2, NodeStep::Drained)),
        (id(4, 1), node(2, NodeStep::Undrained)),
        (id(5, 0), node(2, NodeStep::Leaving)),
        (id(6, 0), node(2, NodeStep::Left)),
        (id(7, 0), again(NodeStep::Joined)),
        (id(8, 0), again(NodeStep::Lost)),
        (id(9, 0), PublicEvent::Variable(VariableNews::Deleted { name: name.clone() })),
        (id(9, 1), PublicEvent::Task(TaskNews::Removed(task))),
    ];
    assert_eq!(world.recorded(1, 100), expected);
    let of_events = world.replica.rows.iter().filter(|(key, _)| Table::of(key) == Some(Table::Event));
    for (_, row) in of_events {
        assert!(row.len() < 64, "rows of news are small: {row:?}");
        assert!(!row.windows(secret.len()).any(|part| part == secret), "a value is told to nobody");
    }
}

#[test]
fn events_leave_when_they_are_old_or_too_many_and_nobody_skips_them_unknowingly() {
    let mut world = World::new();
    world.apply(1, vec![desire("a", 1)]);
    world.apply(DAY, vec![desire("b", 2), update("b", 3)]);
    world.apply(2 * DAY, vec![desire("c", 500)]);
    assert_eq!(world.kept(), 0..509);
    assert_eq!(world.trim_below(7 * DAY), None);
    assert_eq!(world.trim_below(7 * DAY + 1), Some(3));
    assert_eq!(world.trim_below(8 * DAY), Some(8));

    world.apply(8 * DAY, vec![Command::TrimEvents { below: 8 }]);
    assert_eq!(world.kept(), 8..509);
    assert_eq!(world.recorded(0, 1)[0].0, id(4, 0));
    assert_eq!(world.first_after(id(4, 0)), Some(9));
    assert_eq!(world.first_after(id(3, 3)), None, "more than that may have been trimmed");

    // Another leader may have seen the same, or less.
    for below in [8, 2] {
        let again = world.apply(8 * DAY, vec![Command::TrimEvents { below }]);
        assert_eq!(again.events, []);
        assert!(again.replies[0].1.is_ok());
    }
    let beyond = world.apply(8 * DAY, vec![Command::TrimEvents { below: 510 }]);
    assert!(beyond.replies[0].1.is_err(), "{:?}", beyond.replies);
    assert_eq!(world.trim_below(8 * DAY), None);

    // More than there may be: the oldest go, young as they are.
    world.apply(8 * DAY, vec![Command::SetSetting(Setting::EventsMax(1_000))]);
    world.apply(8 * DAY, vec![desire("d", 999)]);
    assert_eq!(world.kept(), 8..1_509);
    assert_eq!(world.trim_below(8 * DAY), Some(509));
}

#[test]
fn no_command_removes_more_than_its_bound() {
    let mut world = World::new();
    world.apply(1, vec![desire("a", 4_998)]);
    assert_eq!(world.trim_below(9 * DAY), Some(TRIMMED_MAX));
    world.apply(9 * DAY, vec![Command::TrimEvents { below: TRIMMED_MAX }]);
    assert_eq!(world.trim_below(9 * DAY), Some(5_000));
    world.apply(9 * DAY, vec![Command::TrimEvents { below: 5_000 }]);
    assert_eq!(world.kept(), 5_000..5_000);
    assert_eq!(world.trim_below(9 * DAY), None);
}
