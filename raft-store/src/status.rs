//! What a node says of itself, from local knowledge only.

use capstan_model::ids::{ClusterId, NodeId};
use openraft::{ServerState, async_runtime::WatchReceiver as _};

use crate::cluster::Shared;

/// How many applied-but-behind entries still count as caught up.
const CAUGHT_UP_WITHIN: u64 = 1_000;

/// What this node is to Raft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Replicates, does not vote.
    Learner,
    /// Votes and follows.
    Follower,
    /// Campaigns.
    Candidate,
    /// Leads, or leads as far as it knows.
    Leader,
    /// Raft has stopped.
    Stopped,
}

impl Role {
    /// The name shown to operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Learner => "learner",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
            Self::Stopped => "stopped",
        }
    }
}

/// Where Raft stands on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RaftStatus {
    /// This node.
    pub node_id: NodeId,
    /// The cluster, once founded.
    pub cluster_id: Option<ClusterId>,
    /// Whom this node takes for the leader.
    pub leader_id: Option<NodeId>,
    /// The term it is in.
    pub term: u64,
    /// What it is.
    pub role: Role,
    /// The last index of its log.
    pub last_log: u64,
    /// The highest index it knows to be committed.
    pub committed: u64,
    /// The highest index it has applied and published.
    pub applied: u64,
    /// The last index of its newest snapshot; 0 without one.
    pub snapshot: u64,
    /// The last index purged from its log; 0 when none was.
    pub purged: u64,
    /// The voting members of the effective membership.
    pub voters: Vec<NodeId>,
    /// The other members.
    pub learners: Vec<NodeId>,
    /// On the leader: how long ago, in milliseconds, what a quorum has acknowledged was sent.
    pub quorum_acked_ms: Option<u64>,
    /// This node's wall clock minus the median, in milliseconds, once the leader said so.
    pub clock_skew_ms: Option<i64>,
    /// The newest recorded checksum of the live rows: index and sum.
    pub checksum: Option<(u64, u128)>,
    /// How many commands have panicked in apply since this node started.
    pub bugs: u64,
}

/// Whether this node should be given traffic. All must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Readiness {
    /// A leader is known, and has acknowledged this node within the lease.
    pub has_leader: bool,
    /// What it knows to be committed is applied, but for the newest entries.
    pub caught_up: bool,
    /// Its incarnation is in the node table.
    pub joined: bool,
    /// Its wall clock is within two seconds of the median.
    pub clock_sane: bool,
    /// Its disk is not nearly full.
    pub disk_ok: bool,
    /// Its state has the majority's checksum.
    pub state_agrees: bool,
    /// No command has panicked in apply.
    pub free_of_bugs: bool,
}

impl Readiness {
    /// The conditions by name.
    pub fn conditions(&self) -> [(&'static str, bool); 7] {
        [
            ("has_leader", self.has_leader),
            ("caught_up", self.caught_up),
            ("joined", self.joined),
            ("clock_sane", self.clock_sane),
            ("disk_ok", self.disk_ok),
            ("state_agrees", self.state_agrees),
            ("free_of_bugs", self.free_of_bugs),
        ]
    }

    /// Whether all hold.
    pub fn is_ready(&self) -> bool {
        self.conditions().iter().all(|(_, holds)| *holds)
    }
}

impl Shared {
    pub(crate) fn status(&self) -> RaftStatus {
        let quorum_acked_ms = self.quorum_age().map(|age| age.as_millis() as u64);
        let view = self.publisher.view();
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow_watched();
        let index = |id: Option<u64>| id.unwrap_or(0);
        let membership = metrics.membership_config.membership();
        RaftStatus {
            node_id: self.incarnation.node,
            cluster_id: self.cluster_id(),
            leader_id: metrics.current_leader.map(NodeId),
            term: metrics.current_term,
            role: match metrics.state {
                ServerState::Learner => Role::Learner,
                ServerState::Follower => Role::Follower,
                ServerState::Candidate => Role::Candidate,
                ServerState::Leader => Role::Leader,
                ServerState::Shutdown => Role::Stopped,
            },
            last_log: index(metrics.last_log_index),
            committed: index(metrics.local_committed.map(|id| id.index)),
            applied: view.index(),
            snapshot: index(metrics.snapshot.map(|id| id.index)),
            purged: index(metrics.purged.map(|id| id.index)),
            voters: membership.voter_ids().map(NodeId).collect(),
            learners: membership.learner_ids().map(NodeId).collect(),
            quorum_acked_ms: quorum_acked_ms.filter(|_| metrics.state == ServerState::Leader),
            clock_skew_ms: self.heartbeats.verdict().skew_ms,
            checksum: self.store.checksums().last().copied(),
            bugs: self.publisher.bugs(),
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        let status = self.status();
        let view = self.publisher.view();
        Readiness {
            has_leader: status.leader_id.is_some() && self.heartbeats.is_acknowledged(),
            caught_up: status.applied + CAUGHT_UP_WITHIN >= status.committed,
            joined: view.state().sessions.of(self.incarnation).is_some(),
            clock_sane: self.heartbeats.clock_sane(),
            disk_ok: !self.sequencer.disk_nearly_full(),
            state_agrees: !self.heartbeats.verdict().diverged,
            free_of_bugs: status.bugs == 0,
        }
    }
}
