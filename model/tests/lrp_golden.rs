//! The bytes of what is stored or sent about LRPs and tasks, held against `golden/lrps.txt`.
//!
//! A shipped version is never edited: a line that changes means that old logs and disks can no longer be
//! read. New variants add lines; `CAPSTAN_GOLDEN=1` writes the file anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
mod golden_common;

use std::{collections::BTreeMap, iter::successors, sync::Arc};

use capstan_model::{
    command::{Command, Stored},
    ids::NodeId,
    lrp::{
        action::{
            Action, Download, EmitProgress, EnvVar, Kind, List, ResourceLimits, Run, Timeout, Try, Upload,
        },
        actual::{ActualKey, InstanceKey, NetInfo, PortMapping},
        cell::{Announcement, Capacity, RootfsProviders},
        command::{Desire, LrpCommand, Place, Placement, PlacementFailure, UpdateDesired},
        definition::{Changeable, Definition, Update},
        egress::{EgressRule, IcmpInfo, PortRange},
        guid::Guid,
        isolation::{Isolation, Limit, Unlimited},
        tag::ModificationTag,
    },
    rows::Table,
    task::{
        Outcome,
        command::{DesireTask, PlaceTasks, TaskCommand, TaskPlacement, TaskPlacementFailure},
        definition::TaskDefinition,
    },
    time::Timestamp,
};
use common::{Replica, command_id, entry, incarnation, joined, sealed};
use golden_common::{compare, hex};

#[test]
fn stored_bytes_of_lrps_are_as_shipped() {
    let lrps = successors(Some(first_lrp()), lrp_after).map(Command::Lrp);
    let tasks = successors(Some(first_task()), task_after).map(Command::Task);
    let mut lines: Vec<String> = lrps.chain(tasks).map(line).collect();
    let is_ours = |table: u8| table >= Table::LrpDefinition as u8 || table == Table::History as u8;
    for (key, value) in replica().rows.iter().filter(|(key, _)| is_ours(key[0])) {
        lines.push(format!("row {} = {}", hex(key), hex(value)));
    }
    compare("lrps.txt", &(lines.join("\n") + "\n"));
}

fn first_lrp() -> LrpCommand {
    let (guid, definition) = (guid("a-guid"), Arc::new(definition()));
    LrpCommand::Desire(Arc::new(Desire { guid, definition, changeable: changeable(2), draw: 300 }))
}

// Each `…_after` names the variant that follows; a new variant does not compile until it is in the file.

fn lrp_after(command: &LrpCommand) -> Option<LrpCommand> {
    let (key, instance, draw) = (key(1), instance(7), 300);
    let tag = ModificationTag { epoch: 1 << 127, index: 300 };
    let if_tag = Some(tag);
    Some(match command {
        LrpCommand::Desire(_) => LrpCommand::Update(Box::new(UpdateDesired {
            guid: key.guid,
            update: Update {
                instances: Some(3),
                routes: Some(changeable(3).routes),
                annotation: Some("note".into()),
            },
            draw,
            if_tag,
        })),
        LrpCommand::Update(_) => LrpCommand::Remove { guid: key.guid, if_tag },
        LrpCommand::Remove { .. } => LrpCommand::Kill { key, draw },
        LrpCommand::Kill { .. } => LrpCommand::UpsertDomain { domain: "d".into(), ttl_secs: Some(300) },
        LrpCommand::UpsertDomain { .. } => LrpCommand::AnnounceCell(Box::new(announcement())),
        LrpCommand::AnnounceCell(_) => LrpCommand::CellSilent { incarnation: incarnation(1, 2), term: 300 },
        LrpCommand::CellSilent { .. } => LrpCommand::CellHeard { incarnation: incarnation(1, 2) },
        LrpCommand::CellHeard { .. } => LrpCommand::Place(Box::new(Place {
            placements: vec![Placement { key: key.clone(), tag, instance }],
            failures: vec![PlacementFailure { key, tag, error: "no room".into() }],
        })),
        LrpCommand::Place(_) => LrpCommand::Running { key, instance, net: net() },
        LrpCommand::Running { .. } => {
            LrpCommand::Crashed { key, instance, reason: "Exited with status 1".into(), draw }
        }
        LrpCommand::Crashed { .. } => LrpCommand::Stopped { key, instance, draw },
        LrpCommand::Stopped { .. } => LrpCommand::Converge { draw },
        LrpCommand::Converge { .. } => return None,
    })
}

fn first_task() -> TaskCommand {
    let definition = Arc::new(task_definition());
    TaskCommand::Desire(Arc::new(DesireTask { guid: guid("a-task"), definition }))
}

fn task_after(command: &TaskCommand) -> Option<TaskCommand> {
    let (guid, updated_at, cell) = (guid("a-task"), Timestamp(300), incarnation(1, 2));
    Some(match command {
        TaskCommand::Desire(_) => TaskCommand::Place(Box::new(PlaceTasks {
            placements: vec![TaskPlacement { guid: guid.clone(), updated_at, cell }],
            failures: vec![TaskPlacementFailure { guid, updated_at, error: "no room".into() }],
        })),
        TaskCommand::Place(_) => TaskCommand::Ended { guid, cell, outcome: outcome() },
        TaskCommand::Ended { .. } => TaskCommand::Cancel { guid },
        TaskCommand::Cancel { .. } => TaskCommand::Delete { guid },
        TaskCommand::Delete { .. } => TaskCommand::Resolving { guid },
        TaskCommand::Resolving { .. } => TaskCommand::Resolved { guid },
        TaskCommand::Resolved { .. } => TaskCommand::Converge,
        TaskCommand::Converge => return None,
    })
}

/// Records in every phase and presence, a cell, domains, and tasks in every phase.
fn replica() -> Replica {
    let mut replica = Replica::default();
    let mut seq = 0;
    let mut apply = |command| {
        seq += 1;
        let index = replica.state.index() + 1;
        let command = sealed(command_id(1, 1, seq), None, command);
        let applied = replica.apply(index, &entry(10 + index, vec![], vec![command]));
        applied.replies[0].1.clone().unwrap();
        replica.state.clone()
    };
    apply(Command::NodeJoined(joined(1, 1)));
    apply(Command::NodeJoined(joined(2, 1)));
    for node in 1..=2 {
        let announced = Announcement { incarnation: incarnation(node, 1), ..announcement() };
        apply(Command::Lrp(LrpCommand::AnnounceCell(Box::new(announced))));
    }
    apply(Command::Lrp(LrpCommand::UpsertDomain { domain: "d".into(), ttl_secs: Some(300) }));
    apply(Command::Lrp(LrpCommand::UpsertDomain { domain: "e".into(), ttl_secs: None }));
    let desire = Desire {
        guid: guid("a-guid"),
        definition: Arc::new(definition()),
        changeable: changeable(6),
        draw: 300,
    };
    let state = apply(Command::Lrp(LrpCommand::Desire(Arc::new(desire))));
    let tag = |index| state.lrps.group(&key(index)).unwrap().instance.as_ref().unwrap().tag;
    let error = "insufficient resources: memory";
    let placements = (1..6).map(|index| Placement {
        key: key(index),
        tag: tag(index),
        instance: InstanceKey {
            cell: incarnation(if index == 5 { 2 } else { 1 }, 1),
            ..instance(index.into())
        },
    });
    let place = Place {
        placements: placements.collect(),
        failures: vec![PlacementFailure { key: key(0), tag: tag(0), error: error.into() }],
    };
    apply(Command::Lrp(LrpCommand::Place(Box::new(place))));
    // Index 1 stays claimed and is to stop; 2 runs, 3 crashes, 4 is to stop, and 5 evacuates.
    apply(Command::Lrp(LrpCommand::Kill { key: key(1), draw: 300 }));
    for index in [2, 4, 5] {
        let cell = incarnation(if index == 5 { 2 } else { 1 }, 1);
        let instance = InstanceKey { cell, ..instance(index.into()) };
        apply(Command::Lrp(LrpCommand::Running { key: key(index), instance, net: net() }));
    }
    let mut placed = instance(3);
    placed.cell = incarnation(1, 1);
    for crash in 1..=3_u64 {
        let (reason, draw) = (Arc::from("Exited with status 1"), 300);
        apply(Command::Lrp(LrpCommand::Crashed { key: key(3), instance: placed, reason, draw }));
        let tag = ModificationTag { index: 2 * crash, ..tag(3) };
        let place =
            Place { placements: vec![Placement { key: key(3), tag, instance: placed }], failures: vec![] };
        apply(Command::Lrp(LrpCommand::Place(Box::new(place))));
    }
    apply(Command::Lrp(LrpCommand::Kill { key: key(4), draw: 300 }));
    let definition = Arc::new(task_definition());
    let mut updated_at = Timestamp::ZERO;
    for name in ["pending", "running", "completed", "resolving"] {
        let desire = DesireTask { guid: guid(name), definition: definition.clone() };
        let state = apply(Command::Task(TaskCommand::Desire(Arc::new(desire))));
        updated_at = state.log_time().max(updated_at);
        if name == "pending" {
            continue;
        }
        let (guid, cell) = (guid(name), incarnation(2, 1));
        let placements = vec![TaskPlacement { guid: guid.clone(), updated_at, cell }];
        apply(Command::Task(TaskCommand::Place(Box::new(PlaceTasks { placements, failures: vec![] }))));
        if name != "running" {
            apply(Command::Task(TaskCommand::Ended { guid: guid.clone(), cell, outcome: outcome() }));
        }
        if name == "resolving" {
            apply(Command::Task(TaskCommand::Resolving { guid }));
        }
    }
    apply(Command::DrainNode { node: NodeId(2) });
    apply(Command::Lrp(LrpCommand::Converge { draw: 300 }));
    replica
}

fn guid(name: &str) -> Guid {
    name.parse().unwrap()
}

fn key(index: u32) -> ActualKey {
    ActualKey { guid: guid("a-guid"), index }
}

fn instance(instance_guid: u128) -> InstanceKey {
    InstanceKey { instance_guid, cell: incarnation(1, 2) }
}

fn net() -> Arc<NetInfo> {
    let ports = vec![PortMapping { container_port: 8_080, host_port: 61_000 }];
    Arc::new(NetInfo { address: "10.0.0.1".into(), ports })
}

fn outcome() -> Outcome {
    Outcome { failed: true, failure_reason: "Exited with status 1".into(), result: "7".into() }
}

fn announcement() -> Announcement {
    Announcement {
        incarnation: incarnation(1, 2),
        zone: "z1".into(),
        capacity: Capacity { memory_mb: 1_000, disk_mb: 10_000, containers: 300 },
        rootfs: RootfsProviders { preloaded: vec!["host".into()], schemes: vec!["docker".into()] },
        isolation: Isolation {
            own_network: true,
            unlimited: [Limit::Memory, Limit::Cpu]
                .map(|limit| Unlimited { limit, reason: "no controller".into() })
                .to_vec(),
        },
    }
}

fn changeable(instances: u32) -> Changeable {
    let routes = BTreeMap::from([("cf-router".into(), r#"[{"port":8080}]"#.into())]);
    Changeable { instances, routes, annotation: "note".into() }
}

fn egress_rules() -> Vec<EgressRule> {
    let [protocol, destination] = ["tcp", "10.0.0.0/8"].map(Arc::from);
    vec![EgressRule {
        protocol,
        destinations: vec![destination],
        ports: vec![80, 443],
        port_range: Some(PortRange { start: 1, end: 300 }),
        icmp_info: Some(IcmpInfo { r#type: -1, code: 300 }),
        log: true,
    }]
}

fn env(name: &str) -> Vec<EnvVar> {
    vec![EnvVar { name: name.into(), value: "v".into() }]
}

/// Every kind of action, one in the other.
fn action() -> Action {
    let text = |text: &str| Arc::<str>::from(text);
    let of = |kind| Action { kinds: vec![kind] };
    let run = of(Kind::Run(Run {
        path: text("/bin/app"),
        args: vec![text("-v")],
        dir: text("/app"),
        env: env("RUN"),
        resource_limits: ResourceLimits { nofile: Some(300) },
        user: text("vcap"),
        log_source: text("APP"),
    }));
    let download = of(Kind::Download(Download {
        artifact: text("app"),
        from: text("http://a"),
        to: text("/app"),
        cache_key: text("k"),
        user: text("vcap"),
        log_source: text("D"),
    }));
    let upload = of(Kind::Upload(Upload {
        artifact: text("app"),
        from: text("/app"),
        to: text("http://a"),
        user: text("vcap"),
        log_source: text("U"),
    }));
    let boxed = |action: Action| Some(Box::new(action));
    let timeout = of(Kind::Timeout(Timeout { action: boxed(run), timeout_ns: 300, log_source: text("T") }));
    let progress = of(Kind::EmitProgress(EmitProgress {
        action: boxed(timeout),
        start_message: text("start"),
        success_message: text("end"),
        failure_message_prefix: text("no"),
        log_source: text("E"),
    }));
    let tried = of(Kind::Try(Try { action: boxed(progress), log_source: text("Y") }));
    let list = |actions: Vec<Action>, log_source| List {
        actions: actions.into_iter().map(Some).collect(),
        log_source: text(log_source),
    };
    let parallel = of(Kind::Parallel(list(vec![tried, download], "P")));
    let serial = of(Kind::Serial(list(vec![parallel, upload], "S")));
    of(Kind::Codependent(list(vec![serial], "C")))
}

fn definition() -> Definition {
    Definition {
        domain: "d".into(),
        rootfs: "preloaded:host".into(),
        env: env("E"),
        setup: Some(action()),
        action: action(),
        monitor: Some(Action::default()),
        start_timeout_secs: 300,
        disk_mb: 301,
        memory_mb: 100,
        cpu_weight: 50,
        privileged: true,
        ports: vec![8_080],
        log_guid: "log".into(),
        log_source: "APP".into(),
        metrics_guid: "metrics".into(),
        egress_rules: egress_rules(),
    }
}

fn task_definition() -> TaskDefinition {
    TaskDefinition {
        domain: "d".into(),
        rootfs: "preloaded:host".into(),
        env: env("E"),
        action: action(),
        disk_mb: 301,
        memory_mb: 100,
        cpu_weight: 50,
        privileged: true,
        result_file: "/result".into(),
        completion_callback_url: "http://caller".into(),
        log_guid: "log".into(),
        log_source: "APP".into(),
        metrics_guid: "metrics".into(),
        annotation: "note".into(),
        egress_rules: egress_rules(),
    }
}

/// The bytes must decode to the command again.
fn line(command: Command) -> String {
    let name = match &command {
        Command::Lrp(command) => format!("{command:?}"),
        Command::Task(command) => format!("{command:?}"),
        other => panic!("not about LRPs: {other:?}"),
    };
    let stored = Stored::V1 { idempotency: None, command };
    let bytes = postcard::to_stdvec(&stored).unwrap();
    assert_eq!(postcard::from_bytes::<Stored>(&bytes).as_ref(), Ok(&stored));
    let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
    format!("{} = {}", &name[..end], hex(&bytes))
}
