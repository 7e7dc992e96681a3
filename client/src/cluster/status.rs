//! What one node knows about itself and its cluster: always local, never waits for a leader.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The body of `GET /cluster/v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster's identity; null before the first leader has drawn it.
    pub cluster_id: Option<String>,
    /// The node that answered.
    pub node_id: u64,
    /// The leader as this node knows it; null when unknown.
    pub leader_id: Option<u64>,
    /// The Raft term.
    pub term: u64,
    /// The node's part in the Raft group.
    pub state: Role,
    /// The highest index in the node's log; 0 when it is empty.
    pub last_log: u64,
    /// The highest index this node knows to be committed.
    pub committed: u64,
    /// The highest index applied to this node's state.
    pub applied: u64,
    /// The index of the newest durable snapshot; 0 when there is none.
    pub snapshot: u64,
    /// The ids of the voters, ascending.
    pub voters: Vec<u64>,
    /// The ids of the learners, ascending.
    pub learners: Vec<u64>,
    /// Every node in the replicated node table, by id.
    pub nodes: Vec<NodeStatus>,
    /// The newest checksum of the live state; null before the first index divisible by 1,024.
    #[serde(default)]
    pub checksum: Option<StateChecksum>,
    /// Whether `GET /ready` would answer 200 on this node.
    #[serde(default)]
    pub ready: bool,
    /// Why the node is not ready, one sentence each; empty when it is.
    #[serde(default)]
    pub not_ready: Vec<String>,
    /// The version of the cluster's request specs, as 64 hexadecimal digits; before there are any, a hash of those this node has
    /// loaded, as 32; null without any.
    #[serde(default)]
    pub specs: Option<String>,
    /// What an operator should look at, one sentence each, such as a checksum that differs from the majority's.
    #[serde(default)]
    pub alarms: Vec<String>,
}

/// One node as another sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// The node's id.
    pub id: u64,
    /// Where its peers reach it, `host:port`.
    pub address: String,
    /// Where its HTTP API listens, `host:port`.
    pub http: String,
    /// The life the node is living: its boot count; null before its first heartbeat was recorded.
    pub incarnation: Option<u64>,
    /// Milliseconds since its last heartbeat; only the leader hears heartbeats, so null elsewhere.
    pub last_seen_ms: Option<u64>,
    /// How far its wall clock is ahead of the median of a majority's, in milliseconds; null when unknown.
    pub clock_skew_ms: Option<i64>,
    /// A hash of the request specs it has loaded; null when unknown or without any.
    #[serde(default)]
    pub specs: Option<String>,
    /// Whether its newest life was declared lost.
    #[serde(default)]
    pub lost: bool,
    /// Whether it takes no new work and hands over what it has.
    #[serde(default)]
    pub draining: bool,
    /// How many unfinished requests are its own.
    #[serde(default)]
    pub requests: u64,
}

/// The body of an answer to `POST /cluster/v1/nodes/{id}/drain` and `/undrain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDrain {
    /// The node.
    pub id: u64,
    /// Whether it is drained from now on.
    pub draining: bool,
}

/// The checksum of the live rows at one index: equal on every node that has applied it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateChecksum {
    /// The index it was taken at, divisible by 1,024.
    pub index: u64,
    /// The sum of the rows' hashes modulo 2^128, as 32 hexadecimal digits.
    pub value: String,
}

/// A node's part in the Raft group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Orders the writes of its term.
    Leader,
    /// A voter that follows a leader.
    Follower,
    /// A voter that asks for votes.
    Candidate,
    /// Receives the log and does not vote.
    Learner,
    /// Shutting down, or not yet started.
    Stopped,
    /// A part this version of the client does not know.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Stopped => "stopped",
            Self::Unknown => "unknown",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_keeps_its_keys_and_nulls() {
        let text = concat!(
            r#"{"cluster_id":null,"node_id":1,"leader_id":null,"term":3,"state":"follower","last_log":9,"#,
            r#""committed":8,"applied":8,"snapshot":0,"voters":[1,2,3],"learners":[],"nodes":[{"id":1,"#,
            r#""address":"127.0.0.1:8741","http":"127.0.0.1:8641","incarnation":null,"last_seen_ms":null,"#,
            r#""clock_skew_ms":-4,"specs":null,"lost":false,"draining":true,"requests":2}],"checksum":{"index":1024,"value":"00ff"},"ready":false,"#,
            r#""not_ready":["no leader is known"],"specs":"0a","alarms":[]}"#
        );
        let status: ClusterStatus = serde_json::from_str(text).expect("the shape of the page");
        assert_eq!(serde_json::to_string(&status).expect("plain data"), text);
    }

    #[test]
    fn a_role_of_a_later_version_is_unknown_rather_than_an_error() {
        let role: Role = serde_json::from_str(r#""observer""#).expect("any word is a role");
        assert_eq!(role, Role::Unknown);
    }
}
