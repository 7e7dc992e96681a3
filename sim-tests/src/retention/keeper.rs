//! Lets few finished requests be kept: fewer than the settings allow to ask for.

use std::time::Duration;

use capstan_model::{archive::trim_requests_beyond, command::Command};
use capstan_raft_store::handle::ProposeOptions;

use super::RetentionLoad;
use crate::{net::Job, oracle::Observation, world::World};

/// How often old requests are removed.
const EVERY: Duration = Duration::from_millis(700);

/// Has those trimmed that are too many or too old by what the run says, for as long as it is let.
pub(crate) async fn keep_few(world: World, load: RetentionLoad) {
    let machines = &world.machines;
    machines.oracle.observe(&Observation::KeepsFew { kept: load.kept, age: load.age });
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(leader) = machines.leader() else { continue };
        let Some(handle) = machines.handle(leader) else { continue };
        let load = load.clone();
        let job: Job = Box::new(move || {
            Box::pin(async move {
                let view = handle.view();
                let state = view.state();
                // What is as old as the run lets it become is as old as the settings do, so much later.
                let older = load.age.map(|age| state.settings.archive_age_max().saturating_sub(age));
                let at = state.log_time().after(older.unwrap_or_default());
                let kept = load.kept.unwrap_or_else(|| state.settings.archive_requests_max());
                // A disk that fails stops its node, and says so.
                if let Ok(Some(trim)) = trim_requests_beyond(state, &view, at, kept) {
                    let command = Command::TrimRequests(Box::new(trim));
                    // What comes to nothing is tried again.
                    let _ = handle.propose(command, ProposeOptions::progress()).await;
                }
            })
        });
        machines.net.give(leader, job);
    }
}
