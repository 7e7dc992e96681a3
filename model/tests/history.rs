//! Public events: what is recorded, in which order, and for how long.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod memory_rows;

use std::sync::Arc;

use capstan_model::{
    apply::Applied,
    command::Command,
    event::Event,
    history::{EntryEvents, EventId, events_after, to_trim},
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

    fn recorded(&self, after: Option<EventId>, limit: usize) -> Vec<(EventId, Event)> {
        let events = events_after(&MemoryRows(&self.replica.rows), after, limit).unwrap();
        events.into_iter().map(|recorded| (recorded.id, recorded.event)).collect()
    }

    /// What the leader would propose at a time.
    fn to_trim(&self, secs: u64) -> Vec<EntryEvents> {
        let at = Timestamp(secs * 1_000_000_000);
        to_trim(&self.replica.state, &MemoryRows(&self.replica.rows), at).unwrap()
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
    assert_eq!(world.recorded(None, 100), expected);
    assert_eq!(world.replica.state.history.count(), 7);

    // A reader goes on behind any of them, also behind one that was never there.
    assert_eq!(world.recorded(Some(id(2, 1)), 2), expected[2..4]);
    assert_eq!(world.recorded(Some(id(3, 9)), 100), expected[5..]);
    assert_eq!(world.recorded(Some(expected[6].0), 100), []);
}

#[test]
fn events_leave_when_they_are_old_or_too_many_and_their_floor_is_known() {
    let mut world = World::new();
    world.apply(1, vec![desire("a", 1)]);
    world.apply(DAY, vec![desire("b", 2), update("b", 3)]);
    world.apply(2 * DAY, vec![desire("c", 500)]);
    assert_eq!(world.replica.state.history.count(), 2 + 5 + 501);
    assert_eq!(world.to_trim(7 * DAY), []);

    let old = world.to_trim(8 * DAY);
    assert_eq!(old, [EntryEvents { index: 2, count: 2 }, EntryEvents { index: 3, count: 5 }]);
    world.apply(8 * DAY, vec![Command::TrimEvents(old.clone())]);
    assert_eq!(world.recorded(None, 1)[0].0, id(4, 0));
    let history = world.replica.state.history;
    assert_eq!((history.floor(), history.count()), (4, 501));

    // Another leader may have seen the same.
    let again = world.apply(8 * DAY, vec![Command::TrimEvents(old)]);
    assert_eq!(again.events, []);
    assert_eq!(world.to_trim(8 * DAY), []);

    // One more than there may be: the oldest entry goes whole.
    world.apply(8 * DAY, vec![Command::SetSetting(Setting::EventsMax(1_000))]);
    world.apply(8 * DAY, vec![desire("d", 499)]);
    assert_eq!(world.to_trim(8 * DAY), [EntryEvents { index: 4, count: 501 }]);
}
