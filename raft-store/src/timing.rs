//! The periods and patience of one node, and what must hold between them.

use std::time::Duration;

/// The shortest period; openraft counts in milliseconds.
const PERIOD_MIN: Duration = Duration::from_millis(1);
/// The longest period. None is of use that comes near, and sums of these overflow nothing.
const PERIOD_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// All periods that matter to agreement and liveness. The defaults are those of a local network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timing {
    /// Raft's own heartbeat.
    pub raft_heartbeat: Duration,
    /// The shortest random part of a follower's patience, after its leader's lease (`election_max`) has run out.
    pub election_min: Duration,
    /// The leader's lease as its followers see it, and the longest random part of their patience.
    pub election_max: Duration,
    /// How often a node reports to the leader outside the log.
    pub node_heartbeat: Duration,
    /// How old a leader's quorum acknowledgement may be while it acknowledges heartbeats.
    pub ack_age_max: Duration,
    /// How long a node may run jobs after the sending of its last acknowledged heartbeat.
    pub lease: Duration,
    /// How long killing all jobs may take once the lease has ended.
    pub kill: Duration,
    /// Silence after which a node's jobs are given to others.
    pub owner_lost_after: Duration,
    /// How long a snapshot chunk or its installation may take.
    pub snapshot_step: Duration,
    /// Log bytes after which a snapshot is taken.
    pub snapshot_bytes: u64,
    /// Time after which a snapshot is taken when anything was logged since the last.
    pub snapshot_every: Duration,
    /// Log entries kept behind a snapshot, so that a follower that lags a little needs none.
    pub log_kept: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            raft_heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(200),
            election_max: Duration::from_millis(400),
            node_heartbeat: Duration::from_millis(500),
            ack_age_max: Duration::from_millis(500),
            lease: Duration::from_secs(5),
            kill: Duration::from_secs(1),
            owner_lost_after: Duration::from_secs(8),
            snapshot_step: Duration::from_secs(30),
            snapshot_bytes: 64 * 1024 * 1024,
            snapshot_every: Duration::from_secs(300),
            log_kept: 256,
        }
    }
}

/// Periods that do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// A period is shorter or longer than any of use.
    #[error("{period} = {given:?} must be from {PERIOD_MIN:?} to {PERIOD_MAX:?}")]
    OutOfRange {
        /// Which.
        period: &'static str,
        /// How long it would be.
        given: Duration,
    },
    /// A job could still run when its successor starts.
    #[error(
        "(ack_age_max + lease + kill) / 0.9 = {needed:?} must be at most owner_lost_after / 1.1 = {given:?}: \
         raise owner_lost_after or shorten the lease"
    )]
    LeaseOutlivesOwner {
        /// The longest a job may run after its leader's last word, with 10 % of clock drift.
        needed: Duration,
        /// The silence that others wait for, with 10 % of clock drift.
        given: Duration,
    },
    /// Raft's periods contradict each other.
    #[error("raft_heartbeat {heartbeat:?} < election_min {min:?} < election_max {max:?} must hold")]
    Election {
        /// The heartbeat.
        heartbeat: Duration,
        /// The shortest patience.
        min: Duration,
        /// The longest patience.
        max: Duration,
    },
}

impl Timing {
    /// Checks what the safety of leases and elections rests on (`docs/adr/0005`).
    ///
    /// # Errors
    /// Names the periods that contradict each other.
    pub fn check(&self) -> Result<(), TimingError> {
        let out_of_range = |(_, given): &(_, Duration)| !(PERIOD_MIN..=PERIOD_MAX).contains(given);
        if let Some((period, given)) = self.periods().into_iter().find(out_of_range) {
            return Err(TimingError::OutOfRange { period, given });
        }
        if !(self.raft_heartbeat < self.election_min && self.election_min < self.election_max) {
            return Err(TimingError::Election {
                heartbeat: self.raft_heartbeat,
                min: self.election_min,
                max: self.election_max,
            });
        }
        let needed = (self.ack_age_max + self.lease + self.kill).mul_f64(1.0 / 0.9);
        let given = self.owner_lost_after.mul_f64(1.0 / 1.1);
        if needed > given {
            return Err(TimingError::LeaseOutlivesOwner { needed, given });
        }
        Ok(())
    }

    /// Every period, by name.
    fn periods(&self) -> [(&'static str, Duration); 10] {
        [
            ("raft_heartbeat", self.raft_heartbeat),
            ("election_min", self.election_min),
            ("election_max", self.election_max),
            ("node_heartbeat", self.node_heartbeat),
            ("ack_age_max", self.ack_age_max),
            ("lease", self.lease),
            ("kill", self.kill),
            ("owner_lost_after", self.owner_lost_after),
            ("snapshot_step", self.snapshot_step),
            ("snapshot_every", self.snapshot_every),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_together() {
        Timing::default().check().expect("defaults");
    }

    #[test]
    fn a_lease_that_outlives_its_owner_is_refused() {
        let timing = Timing { lease: Duration::from_millis(5_100), ..Timing::default() };
        assert!(matches!(timing.check(), Err(TimingError::LeaseOutlivesOwner { .. })));
    }

    #[test]
    fn a_period_that_never_ends_or_never_lasts_is_refused() {
        for endless in [Duration::MAX, Duration::from_secs(u64::MAX / 2), Duration::ZERO] {
            let timing = Timing { lease: endless, kill: endless, ..Timing::default() };
            assert!(matches!(timing.check(), Err(TimingError::OutOfRange { period: "lease", .. })));
        }
    }

    #[test]
    fn an_election_timeout_within_the_heartbeat_is_refused() {
        let timing = Timing { election_min: Duration::from_millis(100), ..Timing::default() };
        assert!(matches!(timing.check(), Err(TimingError::Election { .. })));
    }
}
