//! What a node does when the cluster has declared its life lost.
//!
//! Nothing it proposes counts any more, and its requests are others' by now. It has to begin a new life: as a new image of the
//! same process, so that a supervisor sees no end, and nothing of the old life is left that could be forgotten.

use std::{convert::Infallible, io, os::unix::process::CommandExt, process::Command, time::Duration};

use capstan_raft_store::handle::ClusterHandle;

/// How often the node looks whether it was declared lost.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Returns once the replicated state, as far as this node has applied it, says that its present life is lost.
pub async fn declared(cluster: ClusterHandle) {
    let me = cluster.incarnation();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        let view = cluster.view();
        let record = view.state().nodes.get(&me.node);
        if record.is_some_and(|record| record.lost && record.incarnation == me) {
            return;
        }
    }
}

/// Starts this program again in the place of this process, as it was started. Returns only when it cannot.
///
/// # Errors
/// What the system says.
pub fn begin_again() -> io::Result<Infallible> {
    Err(Command::new("/proc/self/exe").arg0("capstan").args(std::env::args_os().skip(1)).exec())
}
