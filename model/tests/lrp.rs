//! Golden transcripts: every file in `lrp_scripts` claims one behaviour of LRPs and cells, and shows it.
//!
//! A life of a node is `NODE.BOOT`, an index of an LRP `GUID/INDEX`, and an instance `i` and a number. Every command that changes
//! something is one log entry, a second after the last one or at `at`; its output is its reply and the events. Reports
//! name the cell of the current instance, unless `by` says otherwise. After each entry the rows are loaded again and every invariant
//! is checked. `UPDATE_GOLDENFILES=1` records.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::{
    collections::BTreeMap,
    error::Error,
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use capstan_model::{
    auction::{self, Auction, Verdict, plan, work::work},
    command::Command as ModelCommand,
    event::Event,
    ids::{Incarnation, NodeId},
    lrp::{
        actual::{Actual, ActualKey, Group, InstanceKey, NetInfo, Phase, PortMapping, Presence},
        cell::{Announcement, Capacity, RootfsProviders},
        command::{Desire, LrpCommand, Place, Placement, PlacementFailure, UpdateDesired},
        convergence,
        definition::{Changeable, Definition, Update},
        event::LrpEvent,
        guid::Guid,
        isolation::Isolation,
        tag::ModificationTag,
    },
    task::{
        self, Outcome, Task, TaskEvent,
        command::{DesireTask, TaskCommand},
        convergence::Step,
        definition::TaskDefinition,
    },
    time::Timestamp,
};
use common::{Replica, command_id, entry, incarnation, joined, sealed};
use goldenscript::Context;

#[derive(goldenscript::Command)]
enum Command {
    /// A node joins, and its cell announces itself.
    Cell {
        life: Life,
        #[arg(key)]
        zone: Option<String>,
        #[arg(key)]
        memory: Option<u32>,
        #[arg(key)]
        containers: Option<u32>,
    },
    /// A node's first heartbeat in a life.
    Join(Life),
    /// A cell announces itself.
    Announce(Life),
    Silent {
        life: Life,
        #[arg(key)]
        term: Option<u64>,
    },
    Heard(Life),
    Lose(Life),
    Drain(u64),
    Undrain(u64),
    Leave(Life),
    /// Stamps the next command, in seconds.
    At(u64),
    Desire {
        guid: String,
        instances: u32,
        #[arg(key)]
        domain: Option<String>,
        #[arg(key)]
        memory: Option<u32>,
        #[arg(key)]
        rootfs: Option<String>,
    },
    Update {
        guid: String,
        #[arg(key)]
        instances: Option<u32>,
        #[arg(key)]
        annotation: Option<String>,
        /// The index of the tag that it must have.
        #[arg(key = "if")]
        if_index: Option<u64>,
    },
    Remove {
        guid: String,
        #[arg(key = "if")]
        if_index: Option<u64>,
    },
    Kill(Key),
    Domain {
        name: String,
        #[arg(key)]
        ttl: Option<u64>,
    },
    /// An auction's result; `tag` is the index it saw.
    Place {
        key: Key,
        life: Life,
        instance: Instance,
        #[arg(key)]
        tag: Option<u64>,
    },
    /// An auction's failure.
    Unplaced {
        key: Key,
        error: String,
        #[arg(key)]
        tag: Option<u64>,
    },
    Running {
        key: Key,
        instance: Instance,
        #[arg(key)]
        by: Option<Life>,
        #[arg(key)]
        port: Option<u16>,
    },
    Crashed {
        key: Key,
        instance: Instance,
        #[arg(key)]
        by: Option<Life>,
        #[arg(key)]
        reason: Option<String>,
    },
    /// A crash whose reason has so many bytes.
    CrashedBytes {
        key: Key,
        instance: Instance,
        bytes: usize,
    },
    /// An auction's failure whose error has so many bytes.
    UnplacedBytes {
        key: Key,
        bytes: usize,
    },
    /// A domain whose name has so many bytes.
    DomainBytes(usize),
    Stopped {
        key: Key,
        instance: Instance,
        #[arg(key)]
        by: Option<Life>,
    },
    /// Places, starts and reports in one go.
    Run {
        key: Key,
        life: Life,
        instance: Instance,
    },
    Converge,
    /// An auction of what waits; what found no cell before is in it again if that was so many seconds ago.
    Auction {
        #[arg(key)]
        again: Option<u64>,
    },
    /// Query: what each cell has to say to an index.
    Explain(Key),
    Task {
        guid: String,
        #[arg(key)]
        memory: Option<u32>,
        #[arg(key)]
        rootfs: Option<String>,
        #[arg(key)]
        callback: Option<String>,
    },
    /// A task has ended on the cell that has it.
    Ended {
        guid: String,
        #[arg(key)]
        result: Option<String>,
        #[arg(key)]
        failure: Option<String>,
        #[arg(key)]
        by: Option<Life>,
    },
    Cancel(String),
    Delete(String),
    Resolving(String),
    Resolved(String),
    ConvergeTasks,
    /// Query: all tasks, and the steps of time and lost cells.
    Tasks,
    /// Query: the steps that convergence lists, and when the next restart is due.
    Steps,
    /// Query: all records, with the one that stands for the index first.
    Show,
    /// Query: what should be on a cell.
    On(Life),
    /// Query: cells and what is used of them.
    Cells,
    /// Query: fresh domains at a time in seconds.
    Domains(u64),
}

struct Life(Incarnation);

impl FromStr for Life {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (node, boot) = text.split_once('.').ok_or("a life is NODE.BOOT")?;
        let number = |text: &str| text.parse().map_err(|e| format!("{text}: {e}"));
        Ok(Self(incarnation(number(node)?, number(boot)?)))
    }
}

struct Key(ActualKey);

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (guid, index) = text.split_once('/').ok_or("an index is GUID/INDEX")?;
        let guid: Guid = guid.parse().map_err(|e| format!("{e}"))?;
        Ok(Self(ActualKey { guid, index: index.parse().map_err(|e| format!("{e}"))? }))
    }
}

struct Instance(u128);

impl FromStr for Instance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_prefix('i').and_then(|n| n.parse().ok());
        Ok(Self(number.ok_or("an instance is i and a number")?))
    }
}

#[derive(Default)]
struct Runner {
    replica: Replica,
    at: Option<u64>,
    /// The number of the last command that needs a session.
    seq: u64,
    /// How many instances auctions have drawn.
    drawn: u128,
}

type Transcript = Result<String, Box<dyn Error>>;

impl goldenscript::Runner for Runner {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Transcript {
        match command {
            Command::Cell { life, zone, memory, containers } => {
                self.apply(ModelCommand::NodeJoined(joined(life.0.node.0, life.0.boot)));
                let zone = zone.as_deref().unwrap_or("z1");
                let capacity = Capacity {
                    memory_mb: memory.unwrap_or(1_000),
                    disk_mb: 1_000,
                    containers: containers.unwrap_or(10),
                };
                Ok(self.apply(announce(life.0, zone, capacity)))
            }
            Command::Join(life) => {
                Ok(self.apply(ModelCommand::NodeJoined(joined(life.0.node.0, life.0.boot))))
            }
            Command::Announce(life) => {
                let capacity = Capacity { memory_mb: 1_000, disk_mb: 1_000, containers: 10 };
                Ok(self.apply(announce(life.0, "z1", capacity)))
            }
            Command::Silent { life, term } => {
                Ok(self.lrp(LrpCommand::CellSilent { incarnation: life.0, term: term.unwrap_or(0) }))
            }
            Command::Heard(life) => Ok(self.lrp(LrpCommand::CellHeard { incarnation: life.0 })),
            Command::Lose(life) => Ok(self.apply(ModelCommand::NodeLost { incarnation: life.0, term: 0 })),
            Command::Drain(node) => Ok(self.apply(ModelCommand::DrainNode { node: NodeId(*node) })),
            Command::Undrain(node) => Ok(self.apply(ModelCommand::UndrainNode { node: NodeId(*node) })),
            Command::Leave(life) => Ok(self.apply(ModelCommand::NodeLeaving { incarnation: life.0 })),
            Command::At(secs) => {
                self.at = Some(*secs);
                Ok(String::new())
            }
            Command::Desire { guid, instances, domain, memory, rootfs } => {
                let definition = Definition {
                    domain: domain.as_deref().unwrap_or("d").into(),
                    rootfs: rootfs.as_deref().unwrap_or("preloaded:host").into(),
                    memory_mb: memory.unwrap_or(100),
                    disk_mb: 10,
                    ..Definition::default()
                };
                let changeable = Changeable { instances: *instances, ..Changeable::default() };
                let (guid, draw) = (guid.parse()?, self.draw());
                let desire = Desire { guid, definition: Arc::new(definition), changeable, draw };
                Ok(self.lrp(LrpCommand::Desire(Arc::new(desire))))
            }
            Command::Update { guid, instances, annotation, if_index } => {
                let update = Update {
                    instances: *instances,
                    annotation: annotation.as_deref().map(Arc::from),
                    routes: None,
                };
                let (guid, draw) = (guid.parse()?, self.draw());
                let if_tag = self.desired_tag(&guid, *if_index);
                Ok(self.lrp(LrpCommand::Update(Box::new(UpdateDesired { guid, update, draw, if_tag }))))
            }
            Command::Remove { guid, if_index } => {
                let guid = guid.parse()?;
                let if_tag = self.desired_tag(&guid, *if_index);
                Ok(self.lrp(LrpCommand::Remove { guid, if_tag }))
            }
            Command::Kill(key) => {
                let draw = self.draw();
                Ok(self.lrp(LrpCommand::Kill { key: key.0.clone(), draw }))
            }
            Command::Domain { name, ttl } => {
                Ok(self.lrp(LrpCommand::UpsertDomain { domain: Arc::from(&**name), ttl_secs: *ttl }))
            }
            Command::Place { key, life, instance, tag } => {
                Ok(self.place(&key.0, key_of(instance, life.0), *tag))
            }
            Command::Unplaced { key, error, tag } => Ok(self.unplaced(&key.0, error, *tag)),
            Command::UnplacedBytes { key, bytes } => {
                let text = self.unplaced(&key.0, &"x".repeat(*bytes), None);
                Ok(text.replace(&"x".repeat(*bytes), "xxx"))
            }
            Command::CrashedBytes { key, instance, bytes } => {
                let instance = self.instance(&key.0, instance, None);
                let (key, reason, draw) = (key.0.clone(), "x".repeat(*bytes).into(), self.draw());
                Ok(self.lrp(LrpCommand::Crashed { key, instance, reason, draw }))
            }
            Command::DomainBytes(bytes) => {
                let domain = "x".repeat(*bytes).into();
                Ok(self.lrp(LrpCommand::UpsertDomain { domain, ttl_secs: None }))
            }
            Command::Running { key, instance, by, port } => {
                let instance = self.instance(&key.0, instance, by.as_ref());
                Ok(self.running(&key.0, instance, port.unwrap_or(61_000)))
            }
            Command::Crashed { key, instance, by, reason } => {
                let instance = self.instance(&key.0, instance, by.as_ref());
                let reason = Arc::from(reason.as_deref().unwrap_or("Exited with status 1"));
                let (key, draw) = (key.0.clone(), self.draw());
                Ok(self.lrp(LrpCommand::Crashed { key, instance, reason, draw }))
            }
            Command::Stopped { key, instance, by } => {
                let instance = self.instance(&key.0, instance, by.as_ref());
                let (key, draw) = (key.0.clone(), self.draw());
                Ok(self.lrp(LrpCommand::Stopped { key, instance, draw }))
            }
            Command::Run { key, life, instance } => {
                let instance = key_of(instance, life.0);
                let placed = self.place(&key.0, instance, None);
                Ok(placed + &self.running(&key.0, instance, 61_000))
            }
            Command::Converge => {
                let draw = self.draw();
                Ok(self.lrp(LrpCommand::Converge { draw }))
            }
            Command::Auction { again } => Ok(self.auction(Duration::from_secs(again.unwrap_or(30)))),
            Command::Explain(key) => Ok(self.explain(&key.0)),
            Command::Task { guid, memory, rootfs, callback } => {
                let definition = TaskDefinition {
                    domain: "d".into(),
                    rootfs: rootfs.as_deref().unwrap_or("preloaded:host").into(),
                    memory_mb: memory.unwrap_or(100),
                    completion_callback_url: callback.as_deref().unwrap_or("").into(),
                    ..TaskDefinition::default()
                };
                let (guid, definition) = (guid.parse()?, Arc::new(definition));
                Ok(self.task(TaskCommand::Desire(Arc::new(DesireTask { guid, definition }))))
            }
            Command::Ended { guid, result, failure, by } => {
                let guid: Guid = guid.parse()?;
                let on = self.replica.state.tasks.get(guid.as_str()).and_then(|task| task.cell());
                let cell = by.as_ref().map(|life| life.0).or(on).unwrap_or(incarnation(1, 1));
                let outcome = Outcome {
                    failed: failure.is_some(),
                    failure_reason: failure.as_deref().unwrap_or("").into(),
                    result: result.as_deref().unwrap_or("").into(),
                };
                Ok(self.task(TaskCommand::Ended { guid, cell, outcome }))
            }
            Command::Cancel(guid) => Ok(self.task(TaskCommand::Cancel { guid: guid.parse()? })),
            Command::Delete(guid) => Ok(self.task(TaskCommand::Delete { guid: guid.parse()? })),
            Command::Resolving(guid) => Ok(self.task(TaskCommand::Resolving { guid: guid.parse()? })),
            Command::Resolved(guid) => Ok(self.task(TaskCommand::Resolved { guid: guid.parse()? })),
            Command::ConvergeTasks => Ok(self.task(TaskCommand::Converge)),
            Command::Tasks => Ok(self.tasks()),
            Command::Steps => Ok(self.steps()),
            Command::Show => Ok(self.show()),
            Command::On(life) => Ok(self.on(life.0)),
            Command::Cells => Ok(self.cells()),
            Command::Domains(secs) => {
                let fresh = self.replica.state.lrps.domains.fresh(Timestamp(secs * 1_000_000_000));
                let names: Vec<&str> = fresh.map(|name| &**name).collect();
                Ok(format!("{names:?}\n"))
            }
        }
    }
}

impl Runner {
    /// Applies one command as an entry of its own.
    fn apply(&mut self, command: ModelCommand) -> String {
        let seq = if command.has_natural_key() { 0 } else { self.seq + 1 };
        self.seq = self.seq.max(seq);
        // Whatever needs a session comes from node 9, which hosts nothing.
        if !self.replica.state.nodes.contains_key(&NodeId(9)) {
            let join = sealed(command_id(9, 1, 0), None, ModelCommand::NodeJoined(joined(9, 1)));
            self.replica.apply(1, &entry(0, vec![], vec![join]));
        }
        let secs = self.at.take().unwrap_or(self.replica.state.log_time().as_secs() + 1);
        let entry = entry(secs, vec![], vec![sealed(command_id(9, 1, seq), None, command)]);
        let applied = self.replica.apply(self.replica.state.index() + 1, &entry);
        let mut text = String::new();
        for (_, reply) in &applied.replies {
            match reply {
                Ok(answer) => writeln!(text, "{answer:?}").unwrap(),
                Err(rejection) => writeln!(text, "refused: {rejection}").unwrap(),
            }
        }
        for event in &applied.events {
            match event {
                Event::Lrp(event) => writeln!(text, "  {}", describe_event(event)).unwrap(),
                Event::Task(event) => writeln!(text, "  {}", describe_task_event(event)).unwrap(),
                _ => {}
            }
        }
        text
    }

    fn lrp(&mut self, command: LrpCommand) -> String {
        self.apply(ModelCommand::Lrp(command))
    }

    fn task(&mut self, command: TaskCommand) -> String {
        self.apply(ModelCommand::Task(command))
    }

    /// Plans and proposes, all in the same second; instances are counted from i100.
    fn auction(&mut self, again: Duration) -> String {
        let state = &self.replica.state;
        let at = self.at.unwrap_or(state.log_time().as_secs());
        let failed_before = Timestamp(Duration::from_secs(at).saturating_sub(again).as_nanos() as u64);
        let work = work(state, failed_before, 1_000);
        let mut auction = Auction::about(state, &work);
        let outcomes = plan(&mut auction, work);
        let mut drawn = self.drawn;
        let commands = auction::commands(outcomes, || {
            drawn += 1;
            drawn + 99
        });
        self.drawn = drawn;
        let mut text = String::new();
        for command in commands {
            self.at = Some(at);
            text += &self.apply(command);
        }
        if text.is_empty() { "nothing to place\n".to_owned() } else { text }
    }

    fn explain(&self, key: &ActualKey) -> String {
        let state = &self.replica.state;
        let Some(work) = auction::Work::of_index(state, key) else { return "not desired\n".to_owned() };
        let verdicts = auction::explain(&Auction::about(state, std::slice::from_ref(&work)), &work);
        let mut text = String::new();
        for Verdict { life, zone, in_zone, mates, reason } in verdicts {
            let node = life.node;
            writeln!(text, "{node} in {zone} ({in_zone} there, {mates} here): {reason:?}").unwrap();
        }
        text
    }

    fn tasks(&self) -> String {
        let state = &self.replica.state;
        let mut text = String::new();
        for task in state.tasks.iter() {
            writeln!(text, "{}", describe_task(task)).unwrap();
        }
        for step in task::convergence::steps(state, state.log_time()) {
            let (step, task) = match step {
                Step::Lost(task) => ("lost", task),
                Step::NotStarted(task) => ("not started", task),
                Step::Forget(task) => ("forget", task),
                Step::CallAgain(task) => ("call again", task),
            };
            writeln!(text, "{step} {}", task.guid).unwrap();
        }
        if let Some(due) = task::convergence::next_due(&state.tasks) {
            assert!(task::convergence::steps(state, due).next().is_some(), "nothing is due at {due}");
        }
        let callbacks: Vec<&str> = state.tasks.callbacks().map(|task| task.guid.as_str()).collect();
        writeln!(text, "to call: {callbacks:?}").unwrap();
        text
    }

    /// Another number for each entry.
    fn draw(&self) -> u128 {
        u128::from(self.replica.state.index())
    }

    fn desired_tag(&self, guid: &Guid, index: Option<u64>) -> Option<ModificationTag> {
        let tag = self.replica.state.lrps.desired(guid.as_str())?.tag;
        index.map(|index| ModificationTag { index, ..tag })
    }

    fn tag(&self, key: &ActualKey, index: Option<u64>) -> ModificationTag {
        let group = self.replica.state.lrps.group(key);
        let tag = group.and_then(|group| group.instance.as_ref()).map(|actual| actual.tag);
        let tag = tag.unwrap_or(ModificationTag { epoch: 0, index: 0 });
        ModificationTag { index: index.unwrap_or(tag.index), ..tag }
    }

    /// Names an instance under the cell that has it.
    fn instance(&self, key: &ActualKey, instance: &Instance, by: Option<&Life>) -> InstanceKey {
        let group = self.replica.state.lrps.group(key).cloned().unwrap_or_default();
        let known = group.records().filter_map(|(_, actual)| actual.instance());
        let known = known.into_iter().find(|known| known.instance_guid == instance.0);
        let cell = by.map(|life| life.0).or(known.map(|known| known.cell)).unwrap_or(incarnation(1, 1));
        InstanceKey { instance_guid: instance.0, cell }
    }

    fn unplaced(&mut self, key: &ActualKey, error: &str, tag: Option<u64>) -> String {
        let (key, tag) = (key.clone(), self.tag(key, tag));
        let failures = vec![PlacementFailure { key, tag, error: error.into() }];
        self.lrp(LrpCommand::Place(Box::new(Place { failures, ..Place::default() })))
    }

    fn place(&mut self, key: &ActualKey, instance: InstanceKey, tag: Option<u64>) -> String {
        let placement = Placement { key: key.clone(), tag: self.tag(key, tag), instance };
        self.lrp(LrpCommand::Place(Box::new(Place { placements: vec![placement], ..Place::default() })))
    }

    fn running(&mut self, key: &ActualKey, instance: InstanceKey, host_port: u16) -> String {
        let address = Arc::from(format!("10.0.0.{}", instance.cell.node));
        let net = NetInfo { address, ports: vec![PortMapping { container_port: 8080, host_port }] };
        self.lrp(LrpCommand::Running { key: key.clone(), instance, net: Arc::new(net) })
    }

    fn steps(&self) -> String {
        let state = &self.replica.state;
        let mut text = String::new();
        for step in convergence::steps(&state.lrps, state.log_time()) {
            let step = match step {
                convergence::Step::Replace { key, presence } => format!("replace {key} {presence:?}"),
                convergence::Step::Evacuate { key } => format!("evacuate {key}"),
                convergence::Step::Restart { key } => format!("restart {key}"),
            };
            writeln!(text, "{step}").unwrap();
        }
        if let Some(at) = convergence::next_restart(&state.lrps) {
            writeln!(text, "next restart at {} s", at.as_secs()).unwrap();
        }
        if text.is_empty() { "nothing to do\n".to_owned() } else { text }
    }

    fn show(&self) -> String {
        let lrps = &self.replica.state.lrps;
        let mut text = String::new();
        for desired in lrps.all_desired() {
            let changes = desired.tag.index;
            writeln!(text, "{}: {} instances, tag {changes}", desired.guid, desired.instances()).unwrap();
        }
        for (key, group) in lrps.groups() {
            writeln!(text, "{key} {}", describe_group(group)).unwrap();
        }
        if text.is_empty() { "nothing\n".to_owned() } else { text }
    }

    fn on(&self, life: Incarnation) -> String {
        let mut text = String::new();
        for record in self.replica.state.lrps.on_cell(life) {
            let verb = record.actual.stopping().map_or("run".to_owned(), |cause| format!("stop ({cause:?})"));
            let instance = record.actual.instance().unwrap().instance_guid;
            writeln!(text, "{verb} {} i{instance} {:?}", record.key, record.presence).unwrap();
        }
        if text.is_empty() { "nothing\n".to_owned() } else { text }
    }

    fn cells(&self) -> String {
        let lrps = &self.replica.state.lrps;
        let mut text = String::new();
        for (node, cell) in lrps.cells() {
            let used = lrps.used(cell.incarnation);
            let silent = if cell.silent { ", silent" } else { "" };
            let evacuating = if cell.evacuating { ", evacuating" } else { "" };
            writeln!(
                text,
                "{node}: {} of {} MiB, {} of {} containers{silent}{evacuating}",
                used.memory_mb, cell.capacity.memory_mb, used.containers, cell.capacity.containers
            )
            .unwrap();
        }
        if text.is_empty() { "none\n".to_owned() } else { text }
    }
}

fn key_of(instance: &Instance, cell: Incarnation) -> InstanceKey {
    InstanceKey { instance_guid: instance.0, cell }
}

fn announce(incarnation: Incarnation, zone: &str, capacity: Capacity) -> ModelCommand {
    let rootfs = RootfsProviders { preloaded: vec!["host".into()], schemes: vec!["docker".into()] };
    let announced =
        Announcement { incarnation, zone: zone.into(), capacity, rootfs, isolation: Isolation::default() };
    ModelCommand::Lrp(LrpCommand::AnnounceCell(Box::new(announced)))
}

fn describe_event(event: &LrpEvent) -> String {
    let name = |key: &ActualKey, presence: &Presence| match presence {
        Presence::Ordinary => key.to_string(),
        Presence::Evacuating => format!("{key} evacuating"),
    };
    match event {
        LrpEvent::DesiredCreated(desired) => {
            format!("{} desired, {} instances", desired.guid, desired.instances())
        }
        LrpEvent::DesiredChanged { before, after } => format!(
            "{} changed, {} -> {} instances, tag {}",
            after.guid,
            before.instances(),
            after.instances(),
            after.tag.index
        ),
        LrpEvent::DesiredRemoved(desired) => format!("{} desired no more", desired.guid),
        LrpEvent::ActualCreated { key, presence, actual } => {
            format!("{} created: {}", name(key, presence), describe_actual(actual))
        }
        LrpEvent::ActualChanged { key, presence, before, after } => {
            let same_epoch = before.tag.epoch == after.tag.epoch && after.tag.index == before.tag.index + 1;
            assert!(same_epoch, "a change counts the tag on");
            format!("{}: {} -> {}", name(key, presence), state_of(before), describe_actual(after))
        }
        LrpEvent::ActualRemoved { key, presence, actual } => {
            format!("{} removed: {}", name(key, presence), state_of(actual))
        }
        LrpEvent::StopAsked { key, presence, cause } => {
            format!("{} is to stop: {cause:?}", name(key, presence))
        }
        LrpEvent::DomainFresh { domain, until } => {
            let until = until.map_or("for ever".to_owned(), |at| format!("until {} s", at.as_secs()));
            format!("domain {domain} fresh {until}")
        }
        LrpEvent::DomainExpired { domain } => format!("domain {domain} expired"),
        LrpEvent::CellChanged(cell) => format!(
            "cell {}.{}: silent {}, evacuating {}",
            cell.incarnation.node, cell.incarnation.boot, cell.silent, cell.evacuating
        ),
        LrpEvent::CellEnded { incarnation } => {
            format!("cell {}.{} ended", incarnation.node, incarnation.boot)
        }
    }
}

fn describe_task_event(event: &TaskEvent) -> String {
    match event {
        TaskEvent::Created(task) => format!("{} created", describe_task(task)),
        TaskEvent::Changed { after, .. } => describe_task(after),
        TaskEvent::Removed(task) => format!("{} removed", describe_task(task)),
    }
}

fn describe_task(task: &Task) -> String {
    let on = task.cell().map_or(String::new(), |cell| format!(" on {}.{}", cell.node, cell.boot));
    let state = match &task.phase {
        task::Phase::Pending => "PENDING",
        task::Phase::Running { .. } => "RUNNING",
        task::Phase::Completed(_) => "COMPLETED",
        task::Phase::Resolving(_) => "RESOLVING",
    };
    let outcome = task.completed().map(|completed| &completed.outcome);
    let outcome = outcome.map_or(String::new(), |outcome| {
        format!(", failed {} {:?}, result {:?}", outcome.failed, outcome.failure_reason, outcome.result)
    });
    format!("task {} {state}{on}{outcome}, since {} s", task.guid, task.updated_at.as_secs())
}

fn describe_group(group: &Group) -> String {
    let (first, _) = group.resolved(None).unwrap();
    let mut records: Vec<_> = group.records().collect();
    records.sort_by_key(|(presence, _)| *presence != first);
    let records = records.into_iter().map(|(presence, actual)| match presence {
        Presence::Ordinary => describe_actual(actual),
        Presence::Evacuating => format!("evacuating {}", describe_actual(actual)),
    });
    records.collect::<Vec<_>>().join(" | ")
}

fn state_of(actual: &Actual) -> &'static str {
    match actual.phase {
        Phase::Unclaimed { .. } => "UNCLAIMED",
        Phase::Claimed { .. } => "CLAIMED",
        Phase::Running { .. } => "RUNNING",
        Phase::Crashed => "CRASHED",
    }
}

fn describe_actual(actual: &Actual) -> String {
    let mut text = state_of(actual).to_owned();
    if let Some(instance) = actual.instance() {
        let cell = instance.cell;
        write!(text, " i{} on {}.{}", instance.instance_guid, cell.node, cell.boot).unwrap();
    }
    match &actual.phase {
        Phase::Unclaimed { placement_error } if !placement_error.is_empty() => {
            write!(text, " ({placement_error})").unwrap();
        }
        Phase::Running { net, .. } => {
            write!(text, " at {}:{}", net.address, net.ports[0].host_port).unwrap();
        }
        _ => {}
    }
    write!(text, ", tag {}, since {} s", actual.tag.index, actual.since.as_secs()).unwrap();
    if actual.crash_count > 0 {
        write!(text, ", crash {} {:?}", actual.crash_count, actual.crash_reason).unwrap();
    }
    if let Some(cause) = actual.stopping() {
        write!(text, ", is to stop: {cause:?}").unwrap();
    }
    text
}

/// Runs every script. Those of the numbered cases of Diego's reference are printed as a table: number, script, result.
#[test]
fn every_script_holds() {
    let scripts = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lrp_scripts")).unwrap();
    let mut paths: Vec<_> = scripts.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let (mut cases, mut failed) = (BTreeMap::<(u8, String), &str>::new(), Vec::new());
    for path in paths {
        println!("{}", path.display());
        let run = AssertUnwindSafe(|| goldenscript::run(&mut Runner::default(), &path));
        let result = catch_unwind(run);
        if let Ok(Err(error)) = &result {
            println!("{error}");
        }
        let holds = matches!(result, Ok(Ok(())));
        let script = path.file_name().unwrap().to_string_lossy().into_owned();
        let numbers = script.strip_prefix("case_").unwrap_or_default().split('_');
        for number in numbers.map_while(|part| part.parse().ok()) {
            cases.insert((number, script.clone()), if holds { "holds" } else { "FAILS" });
        }
        if !holds {
            failed.push(script);
        }
    }
    for ((number, script), result) in cases {
        println!("{number:>4}  {result}  {script}");
    }
    assert!(failed.is_empty(), "these scripts fail: {failed:?}");
}
