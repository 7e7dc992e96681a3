//! `GET /cluster/v1/status`: what this node knows, without asking anyone.

use capstan_client::cluster::{ClusterStatus, NodeStatus, Role, StateChecksum};
use capstan_model::{ids::NodeId, nodes::NodeRecord, workflow::LiveRequests};
use capstan_raft_store::handle::{self, RaftStatus, SeenNode};
use http::StatusCode;

use super::health;
use crate::{
    answer::{self, Answer},
    service::Inner,
};

pub(crate) fn status(api: &Inner) -> Answer {
    let cluster = &api.parts.cluster;
    let (raft, view, seen) = (cluster.status(), cluster.view(), cluster.heartbeats());
    let state = view.state();
    let nodes = state
        .nodes
        .iter()
        .map(|(id, record)| node_status(&raft, *id, record, &state.requests, &seen))
        .collect();
    let not_ready = health::not_ready(api);
    let mut alarms = api.parts.health.alarms();
    alarms.extend(other_specs(cluster.announced_specs(), raft.node_id, &seen));
    let body = ClusterStatus {
        cluster_id: raft.cluster_id.map(|id| id.to_string()),
        node_id: raft.node_id.0,
        leader_id: raft.leader_id.map(|id| id.0),
        term: raft.term,
        state: role(raft.role),
        last_log: raft.last_log,
        committed: raft.committed,
        applied: raft.applied,
        snapshot: raft.snapshot,
        voters: raft.voters.iter().map(|id| id.0).collect(),
        learners: raft.learners.iter().map(|id| id.0).collect(),
        nodes,
        checksum: raft.checksum.map(|(index, sum)| StateChecksum { index, value: hex(sum) }),
        ready: not_ready.is_empty(),
        not_ready,
        specs: cluster.announced_specs().map(hex),
        alarms,
    };
    answer::json(StatusCode::OK, &body)
}

/// One row of the node table, with what heartbeats tell of the life it names.
fn node_status(
    raft: &RaftStatus,
    id: NodeId,
    record: &NodeRecord,
    requests: &LiveRequests,
    seen: &[SeenNode],
) -> NodeStatus {
    let owned = requests.owned_by(record.incarnation).count() as u64;
    let seen = seen.iter().find(|node| node.incarnation == record.incarnation);
    let own_skew = if id == raft.node_id { raft.clock_skew_ms } else { None };
    NodeStatus {
        id: id.0,
        address: record.peer_address.to_string(),
        http: record.http_address.to_string(),
        incarnation: Some(record.incarnation.boot),
        last_seen_ms: seen.map(|node| u64::try_from(node.silence.as_millis()).unwrap_or(u64::MAX)),
        clock_skew_ms: seen.map(|node| node.clock_skew_ms).or(own_skew),
        specs: seen.and_then(|node| node.specs).map(hex),
        lost: record.lost,
        draining: record.draining || record.leaving,
        requests: owned,
    }
}

/// Whose request specs are not those of the leader, which hears of all: a request would then depend on the node it is started at.
fn other_specs(mine: Option<u128>, me: NodeId, seen: &[SeenNode]) -> Option<String> {
    let others: Vec<_> = seen
        .iter()
        .filter(|node| node.incarnation.node != me && node.specs != mine)
        .map(|node| node.incarnation.node.to_string())
        .collect();
    let [first, rest @ ..] = &others[..] else { return None };
    let whose = rest.iter().fold(format!("node {first}"), |list, id| format!("{list}, node {id}"));
    Some(format!(
        "{whose} loaded other request specs than this node: give all nodes the same files, and send SIGHUP to reload them"
    ))
}

fn hex(hash: u128) -> String {
    format!("{hash:032x}")
}

fn role(role: handle::Role) -> Role {
    match role {
        handle::Role::Leader => Role::Leader,
        handle::Role::Follower => Role::Follower,
        handle::Role::Candidate => Role::Candidate,
        handle::Role::Learner => Role::Learner,
        handle::Role::Stopped => Role::Stopped,
    }
}
