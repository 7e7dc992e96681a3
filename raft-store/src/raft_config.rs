//! openraft's settings. What differs from its defaults has its reason here.

use std::{sync::Arc, time::Duration};

use openraft::{Config, SnapshotPolicy};

use crate::timing::Timing;

/// Makes the settings and has openraft check them.
///
/// # Errors
/// What contradicts what, in openraft's words.
pub(crate) fn make(timing: &Timing) -> Result<Arc<Config>, String> {
    let millis = |duration: Duration| duration.as_millis() as u64;
    let config = Config {
        cluster_name: "capstan".into(),
        heartbeat_interval: millis(timing.raft_heartbeat),
        election_timeout_min: millis(timing.election_min),
        election_timeout_max: millis(timing.election_max),
        // A node that was cut off must not depose a healthy leader when it returns.
        enable_pre_vote: Some(true),
        // Heals elections that deadlock under a bridge partition.
        quorum_loss_probe_interval: Some((millis(timing.election_max) * 5 / 2).max(1)),
        // The default lets a restarted leader resume its term without a vote, and so use a log id a second time when a
        // power cut took its unsynced tail.
        enable_leader_restore: Some(capstan_model::mutant!("leader-restored")),
        // Entries are batches; `snapshot_trigger` counts bytes.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: timing.log_kept,
        purge_batch_size: 64,
        max_payload_entries: 64,
        install_snapshot_timeout: millis(timing.snapshot_step),
        backoff: "50ms".into(),
        ..Config::default()
    };
    config.validate().map(Arc::new).map_err(|error| error.to_string())
}
