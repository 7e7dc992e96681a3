//! Room on the disk, before anything is written there.

use std::time::Duration;

use capstan_raft_store::engine::Disk;
use tracing::{info, warn};

/// How often the disk is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often the log says what is waited for.
const SAY_EVERY: u32 = 30;

/// Waits until the disk has its reserve free. Opening the data writes to it: a node whose supervisor starts it again and again on a full
/// disk would wear it out and never get anywhere.
pub(super) async fn wait_for(disk: &dyn Disk) {
    let mut looks = 0;
    loop {
        match disk.space() {
            Ok(space) if space.is_low() => {
                if looks % SAY_EVERY == 0 {
                    warn!(
                        free_bytes = space.free,
                        wanted_bytes = space.reserve(),
                        "the disk is nearly full: waiting for space before the data is opened"
                    );
                }
            }
            Ok(_) if looks == 0 => return,
            Ok(space) => return info!(free_bytes = space.free, "the disk has space again"),
            Err(error) => return warn!(%error, "free disk space is unknown"),
        }
        looks += 1;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
