//! Ends in the end what would wait for somebody for ever: pauses, and approvals that nobody decides.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};

use crate::world::World;

/// How often the cleaner looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Lets every paused request go on, and approves what waits, for as long as the world exists.
pub(crate) async fn clean(world: World) {
    loop {
        let state = world.machines.oracle.committed_state();
        for live in state.requests.iter() {
            let request = format!("/cluster/v1/requests/{}", live.id());
            if live.control.paused.is_some() {
                call(&world, Method::PUT, format!("{request}/resume")).await;
            }
            for awaited in live.awaiting() {
                call(&world, Method::POST, format!("{request}/jobs/{}/approve", awaited.spec.id)).await;
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Makes a call through any node that answers it.
async fn call(world: &World, method: Method, path: String) {
    for through in world.serving() {
        let call = Request::builder().method(&method).uri(&path).body(Bytes::new());
        let call = call.expect("its parts are legal");
        let answer = world.machines.net.http(through, call, PATIENCE).await;
        if answer.is_ok_and(|answer| !answer.status().is_server_error()) {
            return;
        }
    }
}
