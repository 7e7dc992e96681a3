//! What a cell and an auction would do, for transcripts about LRPs and tasks. An index is written `GUID/INDEX`.

use std::{error::Error, sync::Arc};

use capstan_model::{
    command::Command as Proposal,
    lrp::{
        actual::{ActualKey, InstanceKey, NetInfo, PortMapping, Presence},
        cell::{Announcement, Capacity, RootfsProviders},
        command::{LrpCommand, Place, Placement, PlacementFailure},
        guid::Guid,
        isolation::{Isolation, Limit, Unlimited},
    },
    task::{
        Outcome,
        command::{PlaceTasks, TaskCommand, TaskPlacement},
    },
};
use capstan_raft_store::handle::{ClusterHandle, ProposeOptions};
use goldenscript::Command;

type Done = Result<(), Box<dyn Error>>;

/// Does what a line of a script says, as the one cell there is or as the auctioneer.
///
/// `announce`: the cell says what it has. `place KEY`: an auction gives it the index. `unplaced KEY ERROR`: an auction finds no cell.
/// `run KEY`, `crash KEY REASON`, `gone KEY`: the cell reports of its instance. `do GUID`: an auction gives it the task. `done GUID RESULT`,
/// `failed GUID REASON`: the cell reports of the task.
pub(crate) async fn act(cluster: &ClusterHandle, command: &Command) -> Done {
    let mut args = command.consume_args();
    let (what, text) = (args.next_pos(), args.next_pos().unwrap_or_default());
    args.reject_next()?;
    let step = match (command.name.as_str(), what) {
        ("announce", None) => Proposal::Lrp(announce(cluster)),
        (name @ ("do" | "done" | "failed"), Some(guid)) => {
            Proposal::Task(about_task(cluster, name, guid.parse()?, text)?)
        }
        (name, Some(what)) => Proposal::Lrp(about_index(cluster, name, key(what)?, text)?),
        (other, None) => return Err(format!("{other} needs to know of what").into()),
    };
    let committed = cluster.propose(step, ProposeOptions::progress()).await;
    committed.expect("there is one node, and it leads").reply?;
    Ok(())
}

pub(crate) fn key(text: &str) -> Result<ActualKey, Box<dyn Error>> {
    let (guid, index) = text.split_once('/').ok_or("an index is written GUID/INDEX")?;
    Ok(ActualKey::new(&guid.parse()?, index.parse()?))
}

fn announce(cluster: &ClusterHandle) -> LrpCommand {
    LrpCommand::AnnounceCell(Box::new(Announcement {
        incarnation: cluster.incarnation(),
        zone: "z1".into(),
        capacity: Capacity { memory_mb: 1024, disk_mb: 2048, containers: 256 },
        rootfs: RootfsProviders { preloaded: vec!["cflinuxfs2".into()], schemes: vec!["docker".into()] },
        isolation: Isolation {
            own_network: true,
            unlimited: vec![Unlimited { limit: Limit::Cpu, reason: "no controller".into() }],
        },
    }))
}

fn about_index(
    cluster: &ClusterHandle,
    name: &str,
    key: ActualKey,
    text: &str,
) -> Result<LrpCommand, Box<dyn Error>> {
    let view = cluster.view();
    let group = view.state().lrps.group(&key).ok_or("there is nothing at this index")?;
    let actual = group.get(Presence::Ordinary).ok_or("there is nothing at this index")?;
    // Each run of an index has another guid, and always the same in every run of the test.
    let placed = InstanceKey {
        instance_guid: u128::from(key.index) << 64 | u128::from(actual.tag.index),
        cell: cluster.incarnation(),
    };
    let instance = || actual.instance().ok_or("the index has no instance");
    let draw = u128::from(actual.tag.index);
    Ok(match name {
        "place" => {
            let placement = Placement { key, tag: actual.tag, instance: placed };
            LrpCommand::Place(Box::new(Place { placements: vec![placement], failures: vec![] }))
        }
        "unplaced" => {
            let failure = PlacementFailure { key, tag: actual.tag, error: text.into() };
            LrpCommand::Place(Box::new(Place { placements: vec![], failures: vec![failure] }))
        }
        "run" => {
            let ports = vec![PortMapping { container_port: 8080, host_port: 61_001 }];
            let net = NetInfo { address: "10.0.0.1".into(), ports };
            LrpCommand::Running { key, instance: instance()?, net: Arc::new(net) }
        }
        "crash" => LrpCommand::Crashed { key, instance: instance()?, reason: text.into(), draw },
        "gone" => LrpCommand::Stopped { key, instance: instance()?, draw },
        other => return Err(format!("unknown command {other}").into()),
    })
}

fn about_task(
    cluster: &ClusterHandle,
    name: &str,
    guid: Guid,
    text: &str,
) -> Result<TaskCommand, Box<dyn Error>> {
    let cell = cluster.incarnation();
    let view = cluster.view();
    let updated_at = view.state().tasks.get(guid.as_str()).ok_or("there is no such task")?.updated_at;
    let outcome = match name {
        "do" => {
            let placements = vec![TaskPlacement { guid, updated_at, cell }];
            return Ok(TaskCommand::Place(Box::new(PlaceTasks { placements, failures: vec![] })));
        }
        "done" => Outcome { result: text.into(), ..Outcome::default() },
        _ => Outcome { failed: true, failure_reason: text.into(), result: "".into() },
    };
    Ok(TaskCommand::Ended { guid, cell, outcome })
}
