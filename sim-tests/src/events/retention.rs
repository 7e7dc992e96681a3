//! Lets few events be kept, so that cursors fall behind: fewer than the settings allow to ask for.

use std::time::Duration;

use capstan_model::{command::Command, history::TRIMMED_MAX, settings::Setting};
use capstan_raft_store::handle::ProposeOptions;

use crate::{net::Job, world::World};

/// The fewest events that the settings let be kept.
const EVENTS_MAX: u64 = 1_000;
/// How often old events are removed.
const EVERY: Duration = Duration::from_secs(1);

/// Has no more events kept than the settings allow at least, and those beyond `kept` removed, for as long as the run lasts.
pub(crate) async fn keep_few(world: World, kept: Option<u64>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let state = world.machines.oracle.committed_state();
        let (first, next) = (state.history.first(), state.history.next());
        let below = next.saturating_sub(kept.unwrap_or(u64::MAX)).min(first + TRIMMED_MAX);
        if state.settings.events_max() != EVENTS_MAX {
            propose(&world, Command::SetSetting(Setting::EventsMax(EVENTS_MAX)));
        } else if below > first {
            propose(&world, Command::TrimEvents { below });
        }
    }
}

/// Has the leader propose a command, if there is one.
fn propose(world: &World, command: Command) {
    let Some(leader) = world.machines.leader() else { return };
    let Some(handle) = world.machines.handle(leader) else { return };
    let job: Job = Box::new(move || {
        Box::pin(async move {
            // What comes to nothing is tried again.
            let _ = handle.propose(command, ProposeOptions::progress()).await;
        })
    });
    world.machines.net.give(leader, job);
}
