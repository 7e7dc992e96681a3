//! What holds of LRPs and tasks whatever is in the log. `Replica::apply` adds, after every entry: the rows load to the same State, the
//! checksum is that of the rows, no cell is overfilled, every desired index has its record, and every other invariant holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{collections::BTreeSet, sync::Arc};

use capstan_model::{
    apply::Applied,
    auction::{self, Auction, plan, work::work},
    command::Command,
    event::Event,
    ids::{Incarnation, NodeId},
    lrp::{
        actual::{ActualKey, InstanceKey, NetInfo, Phase},
        cell::{Announcement, Capacity, RootfsProviders},
        command::{Desire, LrpCommand, UpdateDesired},
        convergence,
        definition::{Changeable, Definition, Update},
        event::LrpEvent,
        guid::Guid,
        isolation::Isolation,
    },
    state::State,
    task::{
        self, Outcome,
        command::{DesireTask, TaskCommand},
        definition::TaskDefinition,
    },
    time::Timestamp,
};
use common::{Replica, command_id, entry, incarnation, joined, sealed};
use proptest::prelude::*;

const NODES: u64 = 3;

/// Something that happens; numbers pick among what there is.
#[derive(Debug, Clone, Copy)]
enum Op {
    Wait { secs: u64 },
    Restart { node: u64 },
    Silent { node: u64 },
    Heard { node: u64 },
    Lose { node: u64 },
    Drain { node: u64, draining: bool },
    Leave { node: u64 },
    Desire { lrp: u8, instances: u32, memory_mb: u32 },
    Update { lrp: u8, instances: u32 },
    Remove { lrp: u8 },
    Kill { lrp: u8, index: u32 },
    Domain { ttl: u64 },
    Auction,
    Report { pick: usize, report: Report },
    Converge,
    DesireTask { task: u8 },
    EndTask { pick: usize },
    CancelTask { task: u8 },
    DeleteTask { task: u8 },
    ResolveTask { task: u8 },
    ConvergeTasks,
}

#[derive(Debug, Clone, Copy)]
enum Report {
    Running,
    Crashed,
    Stopped,
}

fn any_op() -> impl Strategy<Value = Op> {
    let node = || 1..=NODES;
    let report = prop_oneof![
        5 => Just(Report::Running),
        2 => Just(Report::Crashed),
        2 => Just(Report::Stopped),
    ];
    prop_oneof![
        1 => (0..2_000_u64).prop_map(|secs| Op::Wait { secs }),
        2 => node().prop_map(|node| Op::Restart { node }),
        1 => node().prop_map(|node| Op::Silent { node }),
        1 => node().prop_map(|node| Op::Heard { node }),
        1 => node().prop_map(|node| Op::Lose { node }),
        2 => (node(), any::<bool>()).prop_map(|(node, draining)| Op::Drain { node, draining }),
        1 => node().prop_map(|node| Op::Leave { node }),
        3 => (0..3_u8, 0..4_u32, 0..500_u32)
            .prop_map(|(lrp, instances, memory_mb)| Op::Desire { lrp, instances, memory_mb }),
        2 => (0..3_u8, 0..4_u32).prop_map(|(lrp, instances)| Op::Update { lrp, instances }),
        1 => (0..3_u8).prop_map(|lrp| Op::Remove { lrp }),
        2 => (0..3_u8, 0..4_u32).prop_map(|(lrp, index)| Op::Kill { lrp, index }),
        1 => (0..20_u64).prop_map(|ttl| Op::Domain { ttl }),
        5 => Just(Op::Auction),
        9 => (any::<usize>(), report).prop_map(|(pick, report)| Op::Report { pick, report }),
        4 => Just(Op::Converge),
        2 => (0..3_u8).prop_map(|task| Op::DesireTask { task }),
        2 => any::<usize>().prop_map(|pick| Op::EndTask { pick }),
        1 => (0..3_u8).prop_map(|task| Op::CancelTask { task }),
        1 => (0..3_u8).prop_map(|task| Op::DeleteTask { task }),
        2 => (0..3_u8).prop_map(|task| Op::ResolveTask { task }),
        2 => Just(Op::ConvergeTasks),
    ]
}

#[derive(Default)]
struct World {
    replica: Replica,
    secs: u64,
    seq: u64,
    /// The last number drawn.
    drawn: u128,
    boots: [u64; NODES as usize + 1],
}

impl World {
    /// Three cells, of which none is large enough for everything.
    fn new() -> Self {
        let mut world = Self::default();
        world.apply(Command::NodeJoined(joined(9, 1)));
        (1..=NODES).for_each(|node| world.restart(node));
        world
    }

    fn state(&self) -> &State {
        &self.replica.state
    }

    fn apply(&mut self, command: Command) -> Applied {
        if !command.has_natural_key() {
            self.seq += 1;
        }
        self.secs += 1;
        let sealed = sealed(command_id(9, 1, self.seq), None, command);
        let index = self.state().index() + 1;
        self.replica.apply(index, &entry(self.secs, vec![], vec![sealed]))
    }

    fn draw(&mut self) -> u128 {
        self.drawn += 1;
        self.drawn
    }

    fn restart(&mut self, node: u64) {
        self.boots[node as usize] += 1;
        let boot = self.boots[node as usize];
        self.apply(Command::NodeJoined(joined(node, boot)));
        let announced = Announcement {
            incarnation: incarnation(node, boot),
            zone: Arc::from(format!("z{}", node % 2)),
            capacity: Capacity { memory_mb: 600, disk_mb: 100, containers: 4 },
            rootfs: RootfsProviders { preloaded: vec!["host".into()], schemes: vec![] },
            isolation: Isolation::default(),
        };
        self.apply(Command::Lrp(LrpCommand::AnnounceCell(Box::new(announced))));
    }

    fn life(&self, node: u64) -> Incarnation {
        incarnation(node, self.boots[node as usize])
    }

    /// What an operation asks of the log, as things are.
    fn commands(&mut self, op: Op) -> Vec<Command> {
        let draw = self.draw();
        let command = match op {
            Op::Wait { secs } => {
                self.secs += secs;
                return vec![];
            }
            Op::Restart { node } => {
                self.restart(node);
                return vec![];
            }
            Op::Silent { node } => {
                Command::Lrp(LrpCommand::CellSilent { incarnation: self.life(node), term: 0 })
            }
            Op::Heard { node } => Command::Lrp(LrpCommand::CellHeard { incarnation: self.life(node) }),
            Op::Lose { node } => Command::NodeLost { incarnation: self.life(node), term: 0 },
            Op::Drain { node, draining: true } => Command::DrainNode { node: NodeId(node) },
            Op::Drain { node, draining: false } => Command::UndrainNode { node: NodeId(node) },
            Op::Leave { node } => Command::NodeLeaving { incarnation: self.life(node) },
            Op::Desire { lrp, instances, memory_mb } => {
                let definition = Definition {
                    domain: "d".into(),
                    rootfs: "preloaded:host".into(),
                    memory_mb,
                    ..Definition::default()
                };
                let changeable = Changeable { instances, ..Changeable::default() };
                let desire =
                    Desire { guid: lrp_name(lrp), definition: Arc::new(definition), changeable, draw };
                Command::Lrp(LrpCommand::Desire(Arc::new(desire)))
            }
            Op::Update { lrp, instances } => {
                let update = Update { instances: Some(instances), ..Update::default() };
                let update = UpdateDesired { guid: lrp_name(lrp), update, draw, if_tag: None };
                Command::Lrp(LrpCommand::Update(Box::new(update)))
            }
            Op::Remove { lrp } => Command::Lrp(LrpCommand::Remove { guid: lrp_name(lrp), if_tag: None }),
            Op::Kill { lrp, index } => {
                let key = ActualKey { guid: lrp_name(lrp), index };
                Command::Lrp(LrpCommand::Kill { key, draw })
            }
            Op::Domain { ttl } => Command::Lrp(LrpCommand::UpsertDomain {
                domain: Arc::from(format!("d{}", ttl % 3)),
                ttl_secs: Some(ttl),
            }),
            Op::Auction => return self.auction(),
            Op::Report { pick, report } => {
                let running = instances(self.state());
                if running.is_empty() {
                    return vec![];
                }
                let (key, instance) = running[pick % running.len()].clone();
                Command::Lrp(self.report(key, instance, report))
            }
            Op::Converge => Command::Lrp(LrpCommand::Converge { draw }),
            Op::DesireTask { task } => {
                let definition = TaskDefinition {
                    rootfs: "preloaded:host".into(),
                    memory_mb: 200,
                    completion_callback_url: if task == 0 { "http://caller" } else { "" }.into(),
                    ..TaskDefinition::default()
                };
                let desire = DesireTask { guid: lrp_name(task), definition: Arc::new(definition) };
                Command::Task(TaskCommand::Desire(Arc::new(desire)))
            }
            Op::EndTask { pick } => {
                let lives = (1..=NODES).map(|node| self.life(node));
                let state = self.state();
                let running: Vec<_> = lives
                    .flat_map(|cell| state.tasks.on_cell(cell).map(move |task| (task.guid.clone(), cell)))
                    .collect();
                if running.is_empty() {
                    return vec![];
                }
                let (guid, cell) = running[pick % running.len()].clone();
                Command::Task(TaskCommand::Ended { guid, cell, outcome: Outcome::default() })
            }
            Op::CancelTask { task } => Command::Task(TaskCommand::Cancel { guid: lrp_name(task) }),
            Op::DeleteTask { task } => Command::Task(TaskCommand::Delete { guid: lrp_name(task) }),
            Op::ResolveTask { task } => Command::Task(TaskCommand::Resolving { guid: lrp_name(task) }),
            Op::ConvergeTasks => Command::Task(TaskCommand::Converge),
        };
        vec![command]
    }

    fn report(&mut self, key: ActualKey, instance: InstanceKey, report: Report) -> LrpCommand {
        let draw = self.draw();
        match report {
            Report::Running => {
                let net = Arc::new(NetInfo { address: "10.0.0.1".into(), ports: vec![] });
                LrpCommand::Running { key, instance, net }
            }
            Report::Crashed => LrpCommand::Crashed { key, instance, reason: "x".into(), draw },
            Report::Stopped => LrpCommand::Stopped { key, instance, draw },
        }
    }

    fn auction(&mut self) -> Vec<Command> {
        let work = work(self.state(), Timestamp(u64::MAX), 100);
        let outcomes = plan(&mut Auction::about(self.state(), &work), work);
        auction::commands(outcomes, || {
            self.drawn += 1;
            self.drawn
        })
    }

    fn run(&mut self, ops: &[Op]) {
        for op in ops {
            for command in self.commands(*op) {
                self.apply(command);
            }
        }
    }
}

fn lrp_name(number: u8) -> Guid {
    format!("lrp-{number}").parse().unwrap()
}

/// Every instance that a record names.
fn instances(state: &State) -> Vec<(ActualKey, InstanceKey)> {
    let records = state.lrps.groups().flat_map(|(key, group)| {
        group.records().filter_map(|(_, actual)| Some((key.clone(), actual.instance()?)))
    });
    records.collect()
}

/// The instances that are healthy, and not to be stopped.
fn healthy(state: &State) -> Vec<(ActualKey, InstanceKey)> {
    let records = state.lrps.groups().flat_map(|(key, group)| {
        group.records().filter_map(|(_, actual)| match actual.phase {
            Phase::Running { instance, stopping: None, .. } => Some((key.clone(), instance)),
            _ => None,
        })
    });
    records.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever is planned, drained, placed or refused: as long as an index is desired, its healthy instance goes only by its own end,
    /// with its cell, by its owner's kill, or because another one is healthy. So a drain never leaves an index without one.
    #[test]
    fn nothing_but_its_own_end_leaves_an_index_without_a_healthy_instance(
        ops in prop::collection::vec(any_op(), 1..60),
    ) {
        let mut world = World::new();
        for op in ops {
            for command in world.commands(op) {
                let before = healthy(world.state());
                let ended = match &command {
                    Command::Lrp(LrpCommand::Crashed { instance, .. } | LrpCommand::Stopped { instance, .. }) => {
                        Some(*instance)
                    }
                    _ => None,
                };
                let killed = match &command {
                    Command::Lrp(LrpCommand::Kill { key, .. }) => Some(key.clone()),
                    _ => None,
                };
                world.apply(command.clone());
                let state = world.state();
                let after: BTreeSet<ActualKey> = healthy(state).into_iter().map(|(key, _)| key).collect();
                for (key, instance) in before {
                    let is_excused = ended == Some(instance)
                        || killed.as_ref() == Some(&key)
                        || !state.lrps.is_present(instance.cell)
                        || !state.lrps.is_desired(&key);
                    prop_assert!(is_excused || after.contains(&key), "{key} after {command:?}");
                }
            }
        }
    }

    /// Steps lead to an end, at once; and once there is room and cells do what they are told, everything that is desired runs.
    #[test]
    fn convergence_settles_and_with_room_all_that_is_desired_runs(
        ops in prop::collection::vec(any_op(), 1..40),
    ) {
        let mut world = World::new();
        world.run(&ops);
        // An hour later every crash has waited long enough, and every node is there, and none is drained.
        world.secs += 3_600;
        for node in 1..=NODES {
            world.restart(node);
            world.apply(Command::UndrainNode { node: NodeId(node) });
        }
        for _ in 0..2 {
            world.run(&[Op::Converge, Op::ConvergeTasks]);
        }
        let now = world.state().log_time();
        prop_assert_eq!(convergence::steps(&world.state().lrps, now).next(), None);
        prop_assert_eq!(task::convergence::steps(world.state(), now).next(), None);

        // What ends gives room to what waited for it.
        for _ in 0..3 {
            world.run(&[Op::Auction]);
            for (key, instance) in instances(world.state()) {
                let report = world.report(key, instance, Report::Running);
                world.apply(Command::Lrp(report));
            }
        }
        // What does not run was told why.
        for (key, group) in world.state().lrps.groups() {
            let instance = group.instance.as_ref().unwrap();
            match &instance.phase {
                Phase::Running { .. } => {}
                Phase::Unclaimed { placement_error } => {
                    prop_assert!(placement_error.starts_with("insufficient resources"), "{}", key);
                }
                other => prop_assert!(false, "{key} is {other:?}"),
            }
        }
    }

    /// What cells and the leader send may come twice.
    #[test]
    fn a_repeated_report_or_placement_changes_nothing(ops in prop::collection::vec(any_op(), 1..60)) {
        let mut world = World::new();
        for op in ops {
            for command in world.commands(op) {
                world.apply(command.clone());
                let is_step = matches!(
                    command,
                    Command::Lrp(LrpCommand::Converge { .. }) | Command::Task(TaskCommand::Converge)
                );
                if command.has_natural_key() && !is_step {
                    let mut again = world.apply(command.clone()).events;
                    // A second has passed.
                    again.retain(|event| !matches!(event, Event::Lrp(LrpEvent::DomainExpired { .. })));
                    prop_assert_eq!(again, vec![], "{:?}", command);
                }
            }
        }
    }
}
