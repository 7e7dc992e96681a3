//! Public events: what is recorded, in which order, and for how long.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod memory_rows;

use std::sync::Arc;

use capstan_model::{
    apply::Applied,
    command::Command,
    event::Event,
    history::{EventId, TRIMMED_MAX, events_from, first_after, trim_below},
    lrp::{
        command::{Desire, LrpCommand, UpdateDesired},
        definition::{Changeable, Definition, Update},
        event::LrpEvent,
    },
    settings::Setting,
    time::Timestamp,
};
use common::{Replica, command_id, entry, joined, sealed};
use memory_rows::MemoryRows;

const DAY: u64 = 24 * 3_600;

struct World {
    replica: Replica,
    seq: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self { replica: Replica::default(), seq: 0 };
        world.apply(0, vec![Command::NodeJoined(joined(1, 1))]);
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

    fn recorded(&self, from: u64, limit: usize) -> Vec<(EventId, Event)> {
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

fn id(index: u64, ordinal: u32) -> EventId {
    EventId { index, ordinal }
}

#[test]
fn public_events_are_recorded_as_they_were_and_in_their_order() {
    let mut world = World::new();
    let domain = Command::Lrp(LrpCommand::UpsertDomain { domain: "d".into(), ttl_secs: None });
    let mut expected = vec![];
    for commands in [
        vec![desire("a", 2), domain, update("a", 1)],
        vec![desire("a", 1)],
        vec![Command::Lrp(LrpCommand::Remove { guid: "a".parse().unwrap(), if_tag: None })],
    ] {
        let applied = world.apply(1, commands);
        let public = applied
            .events
            .into_iter()
            .filter(|event| !matches!(event, Event::Lrp(LrpEvent::DomainFresh { .. })));
        let index = world.replica.state.index();
        expected.extend((0..).zip(public).map(|(ordinal, event)| (id(index, ordinal), event)));
    }
    assert_eq!(expected.len(), 7);
    assert_eq!(world.recorded(0, 100), expected);
    assert_eq!(world.kept(), 0..7);
    assert_eq!(world.recorded(2, 2), expected[2..4]);
    assert_eq!(world.recorded(7, 100), []);

    // A reader goes on behind any of them, also behind one that was never there.
    for (number, (id, _)) in (0..).zip(&expected) {
        assert_eq!(world.first_after(*id), Some(number + 1));
    }
    assert_eq!(world.first_after(id(0, 0)), Some(0));
    assert_eq!(world.first_after(id(2, 99)), Some(5));
    assert_eq!(world.first_after(id(99, 0)), Some(7));
}

#[test]
fn events_leave_when_they_are_old_or_too_many_and_nobody_skips_them_unknowingly() {
    let mut world = World::new();
    world.apply(1, vec![desire("a", 1)]);
    world.apply(DAY, vec![desire("b", 2), update("b", 3)]);
    world.apply(2 * DAY, vec![desire("c", 500)]);
    assert_eq!(world.kept(), 0..508);
    assert_eq!(world.trim_below(7 * DAY), None);
    assert_eq!(world.trim_below(7 * DAY + 1), Some(2));
    assert_eq!(world.trim_below(8 * DAY), Some(7));

    world.apply(8 * DAY, vec![Command::TrimEvents { below: 7 }]);
    assert_eq!(world.kept(), 7..508);
    assert_eq!(world.recorded(0, 1)[0].0, id(4, 0));
    assert_eq!(world.first_after(id(4, 0)), Some(8));
    assert_eq!(world.first_after(id(3, 3)), None, "more than that may have been trimmed");

    // Another leader may have seen the same, or less.
    for below in [7, 2] {
        let again = world.apply(8 * DAY, vec![Command::TrimEvents { below }]);
        assert_eq!(again.events, []);
        assert!(again.replies[0].1.is_ok());
    }
    let beyond = world.apply(8 * DAY, vec![Command::TrimEvents { below: 509 }]);
    assert!(beyond.replies[0].1.is_err(), "{:?}", beyond.replies);
    assert_eq!(world.trim_below(8 * DAY), None);

    // More than there may be: the oldest go, young as they are.
    world.apply(8 * DAY, vec![Command::SetSetting(Setting::EventsMax(1_000))]);
    world.apply(8 * DAY, vec![desire("d", 999)]);
    assert_eq!(world.kept(), 7..1_508);
    assert_eq!(world.trim_below(8 * DAY), Some(508));
}

#[test]
fn no_command_removes_more_than_its_bound() {
    let mut world = World::new();
    world.apply(1, vec![desire("a", 4_999)]);
    assert_eq!(world.trim_below(9 * DAY), Some(TRIMMED_MAX));
    world.apply(9 * DAY, vec![Command::TrimEvents { below: TRIMMED_MAX }]);
    assert_eq!(world.trim_below(9 * DAY), Some(5_000));
    world.apply(9 * DAY, vec![Command::TrimEvents { below: 5_000 }]);
    assert_eq!(world.kept(), 5_000..5_000);
    assert_eq!(world.trim_below(9 * DAY), None);
}
