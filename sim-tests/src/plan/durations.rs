//! The periods of nodes in the file of a plan, written as people do: `1s 250ms`.

use std::time::Duration;

use capstan_raft_store::timing::Timing;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// [`Timing`], which production never reads from a file.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Timing", rename = "Timing", deny_unknown_fields)]
struct Written {
    #[serde(with = "humantime_serde")]
    raft_heartbeat: Duration,
    #[serde(with = "humantime_serde")]
    election_min: Duration,
    #[serde(with = "humantime_serde")]
    election_max: Duration,
    #[serde(with = "humantime_serde")]
    node_heartbeat: Duration,
    #[serde(with = "humantime_serde")]
    ack_age_max: Duration,
    #[serde(with = "humantime_serde")]
    lease: Duration,
    #[serde(with = "humantime_serde")]
    kill: Duration,
    #[serde(with = "humantime_serde")]
    owner_lost_after: Duration,
    #[serde(with = "humantime_serde")]
    snapshot_step: Duration,
    snapshot_bytes: u64,
    #[serde(with = "humantime_serde")]
    snapshot_every: Duration,
    log_kept: u64,
}

pub(super) fn serialize<S: Serializer>(timing: &Timing, to: S) -> Result<S::Ok, S::Error> {
    Written::serialize(timing, to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timing, D::Error> {
    Written::deserialize(from)
}
