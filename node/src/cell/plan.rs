//! What a cell has to do: the difference between what State gives it and what runs here. A pure function.

use std::collections::BTreeMap;

use capstan_model::{
    ids::Incarnation,
    lrp::{
        actual::{ActualKey, InstanceKey, Phase},
        guid::Guid,
    },
    mutant,
    state::State,
    time::Timestamp,
};

/// Something that a cell runs, in one run of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Unit {
    /// An instance of an LRP.
    Instance {
        /// Its index.
        key: ActualKey,
        /// Which instance.
        instance: InstanceKey,
    },
    /// A task. One that was deleted and desired anew is another.
    Task {
        /// Its name.
        guid: Guid,
        /// When it was desired.
        created_at: Timestamp,
    },
}

/// What there is to do. Each step is safe to repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The cluster does not know this cell yet.
    Announce,
    /// This cell is to start it.
    Start(Unit),
    /// It is not to run any more.
    Stop(Unit),
    /// It is not here, although State says so.
    Disown(Unit),
}

/// How far something that is here is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    /// It is being started, runs, or has ended and is being reported.
    Going,
    /// It was told to end.
    Stopping,
}

/// What State wants of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// It is to run, and may not have been started.
    Run,
    /// It was started, and goes on.
    GoOn,
    /// It is to end.
    End,
}

/// Compares what State gives a cell in this life with what it holds.
pub(crate) fn plan(state: &State, me: Incarnation, held: &BTreeMap<Unit, Held>) -> Vec<Step> {
    let wishes = wishes(state, me);
    let announce = is_unknown(state, me).then_some(Step::Announce);
    let wished = wishes.iter().filter_map(|(unit, wish)| match (wish, held.get(unit)) {
        (Wish::Run, None) => Some(Step::Start(unit.clone())),
        (Wish::GoOn | Wish::End, None) => Some(Step::Disown(unit.clone())),
        (Wish::End, Some(Held::Going)) => {
            (!mutant!("cell-not-told-to-stop")).then(|| Step::Stop(unit.clone()))
        }
        (Wish::Run | Wish::GoOn, Some(_)) | (Wish::End, Some(Held::Stopping)) => None,
    });
    let unwished = held
        .iter()
        .filter(|(unit, held)| **held == Held::Going && !wishes.contains_key(unit))
        .filter(|_| !mutant!("unwished-goes-on"))
        .map(|(unit, _)| Step::Stop(unit.clone()));
    announce.into_iter().chain(wished).chain(unwished).collect()
}

/// Whether the node was admitted in this life, and its cell was not.
fn is_unknown(state: &State, me: Incarnation) -> bool {
    let node = state.nodes.get(&me.node);
    let is_admitted = node.is_some_and(|node| node.incarnation == me && !node.lost);
    is_admitted && state.lrps.cell_of(me).is_none()
}

fn wishes(state: &State, me: Incarnation) -> BTreeMap<Unit, Wish> {
    let instances = state.lrps.on_cell(me).filter_map(|record| {
        let (instance, wish) = match record.actual.phase {
            Phase::Claimed { instance, stopping: None } => (instance, Wish::Run),
            Phase::Running { instance, stopping: None, .. } => (instance, Wish::GoOn),
            Phase::Claimed { instance, .. } | Phase::Running { instance, .. } => (instance, Wish::End),
            Phase::Unclaimed { .. } | Phase::Crashed => return None,
        };
        Some((Unit::Instance { key: record.key.clone(), instance }, wish))
    });
    let tasks = state
        .tasks
        .on_cell(me)
        .map(|task| (Unit::Task { guid: task.guid.clone(), created_at: task.created_at }, Wish::Run));
    instances.chain(tasks).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use capstan_model::{
        apply::apply,
        command::{Command, Entry, NodeJoined, Sealed},
        ids::{CommandId, DiskId, NodeId},
        lrp::{
            actual::NetInfo,
            cell::{Announcement, Capacity},
            command::{Desire, LrpCommand, Place, Placement},
            definition::Changeable,
        },
        task::command::{DesireTask, PlaceTasks, TaskCommand, TaskPlacement},
    };

    use super::*;

    const ME: Incarnation = Incarnation { node: NodeId(1), boot: 1, nonce: 7 };
    const INSTANCE: InstanceKey = InstanceKey { instance_guid: 5, cell: ME };

    /// A state, and how it came about.
    struct World(State);

    impl World {
        /// One node, admitted.
        fn new() -> Self {
            let mut world = Self(State::default());
            world.commit(Command::NodeJoined(NodeJoined {
                incarnation: ME,
                disk: DiskId(1),
                peer_address: "p".into(),
                http_address: "h".into(),
                slots: 1,
                job_types: vec![],
            }));
            world
        }

        /// The same with its cell, one index of an LRP and a task, both given to it.
        fn with_work() -> Self {
            let mut world = Self::new();
            let capacity = Capacity { memory_mb: 1, disk_mb: 1, containers: 9 };
            world.lrp(LrpCommand::AnnounceCell(Box::new(Announcement {
                incarnation: ME,
                zone: "z".into(),
                capacity,
                rootfs: Default::default(),
                isolation: Default::default(),
            })));
            world.lrp(LrpCommand::Desire(Arc::new(Desire {
                guid: guid("lrp"),
                definition: Default::default(),
                changeable: Changeable { instances: 1, ..Changeable::default() },
                draw: 1,
            })));
            let group = world.0.lrps.group(&key()).unwrap();
            let tag = group.instance.as_ref().unwrap().tag;
            let placements = vec![Placement { key: key(), tag, instance: INSTANCE }];
            world.lrp(LrpCommand::Place(Box::new(Place { placements, failures: vec![] })));
            let desire = DesireTask { guid: guid("task"), definition: Default::default() };
            world.commit(Command::Task(TaskCommand::Desire(Arc::new(desire))));
            let updated_at = world.0.tasks.get("task").unwrap().updated_at;
            let placements = vec![TaskPlacement { guid: guid("task"), updated_at, cell: ME }];
            let place = PlaceTasks { placements, failures: vec![] };
            world.commit(Command::Task(TaskCommand::Place(Box::new(place))));
            world
        }

        fn lrp(&mut self, command: LrpCommand) {
            self.commit(Command::Lrp(command));
        }

        fn commit(&mut self, command: Command) {
            let index = self.0.index() + 1;
            let id = CommandId { incarnation: ME, seq: index };
            let commands = vec![Sealed::new(id, None, command).unwrap()];
            let entry = Entry::V1 { time: Timestamp(index), settled: vec![], commands };
            let applied = apply(&mut self.0, index, &entry);
            assert!(applied.replies.iter().all(|(_, reply)| reply.is_ok()), "{:?}", applied.replies);
        }

        fn plan(&self, held: impl IntoIterator<Item = (Unit, Held)>) -> Vec<Step> {
            plan(&self.0, ME, &held.into_iter().collect())
        }

        fn task(&self) -> Unit {
            Unit::Task { guid: guid("task"), created_at: self.0.tasks.get("task").unwrap().created_at }
        }
    }

    fn guid(text: &str) -> Guid {
        text.parse().unwrap()
    }

    fn key() -> ActualKey {
        ActualKey::new(&guid("lrp"), 0)
    }

    fn instance() -> Unit {
        Unit::Instance { key: key(), instance: INSTANCE }
    }

    #[test]
    fn a_cell_announces_itself_once_its_node_is_admitted() {
        assert_eq!(plan(&State::default(), ME, &BTreeMap::new()), []);
        assert_eq!(World::new().plan([]), [Step::Announce]);
        let next_life = Incarnation { boot: 2, ..ME };
        assert_eq!(
            plan(&World::new().0, next_life, &BTreeMap::new()),
            [],
            "not in a life that was not admitted"
        );
    }

    #[test]
    fn what_a_cell_is_given_is_started_once() {
        let world = World::with_work();
        let task = world.task();
        assert_eq!(world.plan([]), [Step::Start(instance()), Step::Start(task.clone())]);
        assert_eq!(world.plan([(instance(), Held::Going), (task, Held::Going)]), []);
    }

    #[test]
    fn what_a_cell_is_not_given_is_stopped_once() {
        let world = World::new();
        assert_eq!(world.plan([(instance(), Held::Going)]), [Step::Announce, Step::Stop(instance())]);
        assert_eq!(world.plan([(instance(), Held::Stopping)]), [Step::Announce]);
        let mut world = World::with_work();
        let task = world.task();
        world.commit(Command::Task(TaskCommand::Cancel { guid: guid("task") }));
        let held = [(instance(), Held::Going), (task.clone(), Held::Going)];
        assert_eq!(world.plan(held), [Step::Stop(task)]);
    }

    #[test]
    fn an_instance_that_is_to_end_is_stopped_or_was_never_here() {
        let mut world = World::with_work();
        let task = (world.task(), Held::Going);
        world.lrp(LrpCommand::Kill { key: key(), draw: 2 });
        assert_eq!(world.plan([task.clone(), (instance(), Held::Going)]), [Step::Stop(instance())]);
        assert_eq!(world.plan([task.clone(), (instance(), Held::Stopping)]), []);
        assert_eq!(world.plan([task]), [Step::Disown(instance())], "it was to end before it was started");
    }

    #[test]
    fn an_instance_that_runs_is_never_started_again() {
        let mut world = World::with_work();
        let task = (world.task(), Held::Going);
        let net = Arc::new(NetInfo { address: "a".into(), ports: vec![] });
        world.lrp(LrpCommand::Running { key: key(), instance: INSTANCE, net });
        assert_eq!(world.plan([task.clone(), (instance(), Held::Going)]), []);
        assert_eq!(world.plan([task]), [Step::Disown(instance())]);
    }
}
