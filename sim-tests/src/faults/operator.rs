//! What operators do, at awkward moments.

use std::time::Duration;

use bytes::Bytes;
use capstan_node::leave;
use http::{Request, header::CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use serde_json::json;
use strum::IntoStaticStr;
use tokio::sync::oneshot;

use super::{Fault, Kind, Strike, Target};
use crate::{
    disk::Loss,
    net::{Job, Place},
    world::World,
};

/// How long an operator waits for a node's answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Something that an operator does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[strum(prefix = "fault: ", serialize_all = "kebab-case")]
pub enum OperatorFault {
    /// A node is told to stop: it hands over what it has, ends, and is started again at the end.
    Leave(Target),
    /// A node is drained, and undrained at the end.
    Drain(Target),
}

pub(super) const KINDS: &[Kind] = &[
    Kind::new(|draw| Fault::Operator(OperatorFault::Leave(draw.target()))),
    Kind::new(|draw| Fault::Operator(OperatorFault::Drain(draw.target()))),
];

impl OperatorFault {
    pub(super) async fn carry_out(self, strike: Strike) {
        match self {
            // It ends by itself: what has begun to leave must not stay.
            Self::Leave(target) => {
                let node = strike.resolve(target);
                drop(tokio::task::spawn_local(leave(strike, node)));
            }
            Self::Drain(target) => {
                let node = strike.resolve(target);
                set_drained(&strike.world, node, true).await;
                tokio::time::sleep(strike.lasts).await;
                set_drained(&strike.world, node, false).await;
            }
        }
    }
}

/// A node hands over what it has, as it does when it is told to stop, and ends. Peace ends its patience, and brings it back at once.
pub(super) async fn leave(strike: Strike, node: Place) {
    let Strike { world, lasts: down, .. } = strike;
    let (Some(life), Some(handle)) = (world.machines.life_of(node), world.machines.handle(node)) else {
        return;
    };
    let (sender, left) = oneshot::channel();
    let job: Job = Box::new(move || {
        Box::pin(async move {
            leave::hand_everything_over(&handle).await;
            // Nobody waits for it in peace.
            let _ = sender.send(());
        })
    });
    world.machines.net.give(node, job);
    tokio::select! {
        // It may crash before.
        _ = left => {}
        () = world.peace() => {}
    }
    if !world.machines.lives(node, life) {
        return;
    }
    world.machines.strike(node, Loss::Process);
    tokio::select! {
        () = tokio::time::sleep(down) => {}
        () = world.peace() => {}
    }
    world.boot(node);
}

/// Ends every drain, for as long as the world exists: one that nobody heard the answer of may be committed late.
pub(crate) async fn keep_undrained(world: World) {
    loop {
        let nodes = world.machines.oracle.committed_state().nodes;
        for record in nodes.values().filter(|record| record.draining) {
            set_drained(&world, record.incarnation.node.0, false).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Starts as many requests as there are nodes, so that each has something that runs for a while.
pub(super) async fn give_work(world: &World) {
    for _ in world.machines.net.nodes() {
        let body = json!({ "type": "once", "args": { "cmd": "work", "args": "6000 0" } });
        ask_someone(world, "/api/v1/requests", &Bytes::from(body.to_string())).await;
    }
}

/// Tells the cluster that a node is drained, or no longer; some faults keep all from it.
pub(super) async fn set_drained(world: &World, node: Place, is_drained: bool) {
    let path = format!("/cluster/v1/nodes/{node}/{}", if is_drained { "drain" } else { "undrain" });
    ask_someone(world, &path, &Bytes::new()).await;
}

/// Asks through whichever node answers.
async fn ask_someone(world: &World, path: &str, body: &Bytes) {
    let net = &world.machines.net;
    for through in net.nodes() {
        let call = Request::post(path).header(CONTENT_TYPE, "application/json").body(body.clone());
        let call = call.expect("its parts are legal");
        if net.http(through, call, PATIENCE).await.is_ok_and(|it| it.status().is_success()) {
            return;
        }
    }
}
