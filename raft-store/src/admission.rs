//! Whom this node takes for a member of its cluster, and whose reports it acknowledges as leader.

use std::time::Duration;

use capstan_model::{
    buggify,
    cluster::CLUSTER_VERSION,
    ids::{DiskId, Incarnation, NodeId},
    sometimes,
};
use openraft::{Instant as _, ServerState, async_runtime::WatchReceiver as _};

use crate::{
    cluster::Shared,
    peer::{Heartbeat, HeartbeatReply, PeerIdentity},
};

impl Shared {
    pub(crate) fn peer_identity(&self) -> PeerIdentity {
        PeerIdentity {
            cluster: self.cluster_id(),
            node: self.incarnation.node,
            disk: self.disk,
            incarnation: self.incarnation,
            cluster_version: CLUSTER_VERSION,
        }
    }

    /// Whether this node's directory holds no cluster's data.
    pub(crate) async fn is_empty(&self) -> bool {
        self.cluster_id().is_none() && !self.raft.is_initialized().await.unwrap_or(true)
    }

    /// Refuses a known node id with another disk: a wiped voter that came back under its id could vote data away. So could one whose
    /// directory is an older copy; its boot count says so, until it was raised often enough.
    pub(crate) fn check_life(&self, life: Incarnation, disk: DiskId) -> Result<(), String> {
        let view = self.publisher.view();
        let Some(known) = view.state().nodes.get(&life.node) else { return Ok(()) };
        if known.disk != disk {
            capstan_model::sometimes!("wiped directory refused under its node id");
            return Err(format!(
                "node {} is recorded with disk {}, not {disk}: a wiped or swapped data directory needs a new node id",
                life.node, known.disk
            ));
        }
        if life != known.incarnation && life.boot <= known.incarnation.boot {
            capstan_model::sometimes!("restored directory refused by its boot count");
            return Err(format!(
                "node {} lives as {}, not as {life}: a restored or copied data directory needs a new node id",
                life.node, known.incarnation
            ));
        }
        Ok(())
    }

    /// Answers a heartbeat, if this node leads and its own quorum has answered lately.
    pub(crate) fn acknowledge(&self, heartbeat: Heartbeat) -> HeartbeatReply {
        if !self.hears_a_quorum() || buggify!("buggify: a leader doubts that a quorum hears it") {
            let leader = self.raft.metrics().borrow_watched().current_leader.map(NodeId);
            return HeartbeatReply::NotLeader { leader };
        }
        if let Err(reason) = self.check_life(heartbeat.incarnation, heartbeat.disk) {
            return HeartbeatReply::Refused { reason };
        }
        if self.is_lost(heartbeat.incarnation) && !capstan_model::mutant!("lost-life-acknowledged") {
            sometimes!("a life reports after it was declared lost");
            let reason = format!("{} was declared lost", heartbeat.incarnation);
            return HeartbeatReply::Refused { reason };
        }
        self.heartbeats.hear(heartbeat)
    }

    /// Whether a life was declared lost. It may not know yet, and must not run anything on a lease meanwhile.
    fn is_lost(&self, life: Incarnation) -> bool {
        let view = self.publisher.view();
        view.state().nodes.get(&life.node).is_some_and(|known| known.lost && known.incarnation == life)
    }

    /// Whether this node leads and its own quorum has answered lately: only then does it know who is silent.
    pub(crate) fn hears_a_quorum(&self) -> bool {
        if capstan_model::mutant!("acknowledged-without-quorum") {
            return self.leads();
        }
        self.leads() && self.quorum_age().is_some_and(|age| age <= self.ack_age_max)
    }

    /// How long ago what a quorum has acknowledged was sent. A sole voter always counts as acknowledged.
    pub(crate) fn quorum_age(&self) -> Option<Duration> {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        if metrics.membership_config.voter_ids().count() == 1 && metrics.state == ServerState::Leader {
            return Some(Duration::ZERO);
        }
        metrics.last_quorum_acked.map(|at| at.elapsed())
    }
}
