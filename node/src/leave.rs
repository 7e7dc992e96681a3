//! How a node leaves in good order: what it has goes to others before it stops.

use std::time::Duration;

use capstan_model::{command::Command, ids::Incarnation, sometimes, state::State};
use capstan_raft_store::handle::{ClusterHandle, ProposeOptions};
use tokio::time::timeout;
use tracing::{info, warn};

/// How long the cluster may take to hear that this node leaves. A node that is the last to stop has nobody to tell.
const TELLING: Duration = Duration::from_secs(2);
/// How long the jobs may take to stop and their requests to be handed over, and instances to run elsewhere: somewhat more than a job is given to
/// heed SIGTERM.
const HANDING_OVER: Duration = Duration::from_secs(12);
/// How often to look whether anybody hears this node.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Tells the cluster that this node leaves, and waits until it owns nothing, runs nothing that could go on elsewhere and does not lead. What
/// takes too long is left as it is: others take it over as they do from a node that was lost.
pub async fn hand_everything_over(cluster: &ClusterHandle) {
    let me = cluster.incarnation();
    let leaving = Command::NodeLeaving { incarnation: me };
    let options = ProposeOptions { deadline: TELLING, ..ProposeOptions::progress() };
    match cluster.propose(leaving, options).await {
        Ok(_) => {
            let handed_over = timeout(HANDING_OVER, has_nothing(cluster));
            tokio::select! {
                result = handed_over => if result.is_err() {
                    sometimes!("a node leaves before it has handed everything over");
                    warn!("not everything on this node was handed over within {HANDING_OVER:?}");
                },
                () = unheard(cluster) => {
                    sometimes!("no majority hears a node that leaves");
                    warn!("no majority hears this node: what it has is taken over as that of a lost one");
                }
            }
        }
        Err(error) => info!(%error, "the cluster does not hear that this node leaves"),
    }
    cluster.hand_leadership_over().await;
}

/// Waits until no leader has acknowledged this node within its lease: by then it runs nothing any more.
async fn unheard(cluster: &ClusterHandle) {
    let mut lease = cluster.lease();
    while cluster.is_acknowledged() {
        // Nobody tells when a lease ends, only when it is renewed.
        let _ = timeout(LOOK_EVERY, lease.changed()).await;
    }
}

/// Waits until this life has nothing that others could take over.
async fn has_nothing(cluster: &ClusterHandle) {
    let mut applied = cluster.watch();
    while has_any(cluster.view().state(), cluster.incarnation()) {
        if applied.changed().await.is_err() {
            return;
        }
    }
}

/// Whether a life that is about to end has requests, tasks, or instances for which there is another cell.
fn has_any(state: &State, me: Incarnation) -> bool {
    let is_other_cell = || state.lrps.cells().any(|(_, cell)| cell.incarnation != me && cell.is_available());
    state.requests.owned_by(me).next().is_some()
        || state.tasks.on_cell(me).next().is_some()
        || state.lrps.on_cell(me).next().is_some() && is_other_cell()
}
