//! Removes in the end what would never come to rest.

use std::time::Duration;

use bytes::Bytes;
use capstan_model::{
    lrp::{actual::Phase, desired::Desired},
    state::State,
};
use http::Request;

use super::bodies::ILL;
use crate::world::World;

/// How often the cleaner looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long it waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Removes every LRP that is ill, or of which an index waits after a crash, for as long as the world exists: such a wait may be of a
/// quarter of an hour.
pub(crate) async fn clean(world: World) {
    loop {
        let state = world.machines.oracle.committed_state();
        for desired in state.lrps.all_desired().filter(|desired| is_restless(&state, desired)) {
            let path = format!("/v1/desired_lrps/{}", desired.guid);
            for through in world.serving() {
                let call = Request::delete(&path).body(Bytes::new()).expect("its parts are legal");
                let answer = world.machines.net.http(through, call, PATIENCE).await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    break;
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn is_restless(state: &State, desired: &Desired) -> bool {
    let mut records = state.lrps.groups_of(&desired.guid).flat_map(|(_, group)| group.records());
    *desired.definition.log_guid == *ILL || records.any(|(_, actual)| actual.phase == Phase::Crashed)
}
