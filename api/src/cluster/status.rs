//! `GET /cluster/v1/status`: what this node knows, without asking anyone.

use std::time::Duration;

use capstan_client::cluster::{ClusterStatus, NodeStatus, Role, StateChecksum};
use capstan_model::{
    ids::NodeId,
    nodes::{NodeRecord, Nodes},
    workflow::LiveRequests,
};
use capstan_raft_store::handle::{self, RaftStatus, SeenNode};
use http::StatusCode;

use super::{health, specs};
use crate::{
    answer::{self, Answer},
    service::Inner,
};

/// How long a node may be silent and what it last said of its specs still count.
const SILENCE_MAX: Duration = Duration::from_secs(2);

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
    // Once the cluster has specs, no node uses its own.
    if state.specs.current_id().is_none() {
        alarms.extend(other_specs(cluster.announced_specs(), raft.node_id, &state.nodes, &seen));
    }
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
        specs: specs::in_use(state).or_else(|| cluster.announced_specs().map(hex)),
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
    let owned = u64::from(requests.owned_count(record.incarnation));
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
fn other_specs(mine: Option<u128>, me: NodeId, nodes: &Nodes, seen: &[SeenNode]) -> Option<String> {
    let lives = |node: &SeenNode| {
        let record = nodes.get(&node.incarnation.node);
        node.silence < SILENCE_MAX
            && record.is_some_and(|record| record.incarnation == node.incarnation && !record.lost)
    };
    let others: Vec<_> = seen
        .iter()
        .filter(|node| node.incarnation.node != me && node.specs != mine && lives(node))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use capstan_model::ids::{DiskId, Incarnation};
    use capstan_raft_store::peer::NodeFacts;

    use super::*;

    fn life(node: u64, boot: u64) -> Incarnation {
        Incarnation { node: NodeId(node), boot, nonce: 0 }
    }

    fn record(incarnation: Incarnation, lost: bool) -> NodeRecord {
        NodeRecord {
            incarnation,
            disk: DiskId(1),
            peer_address: "".into(),
            http_address: "".into(),
            slots: 1,
            job_types: Vec::new(),
            lost,
            draining: false,
            leaving: false,
        }
    }

    fn seen(incarnation: Incarnation, silence_ms: u64) -> SeenNode {
        SeenNode {
            incarnation,
            disk: DiskId(1),
            facts: NodeFacts {
                peer_address: "".into(),
                http_address: "".into(),
                slots: 1,
                job_types: Vec::new(),
            },
            silence: Duration::from_millis(silence_ms),
            clock_skew_ms: 0,
            disk_nearly_full: false,
            specs: Some(2),
        }
    }

    #[test]
    fn only_nodes_that_live_have_other_specs() {
        let nodes: Nodes = [(1, 1, false), (2, 2, false), (3, 1, true)]
            .into_iter()
            .map(|(node, boot, lost)| (NodeId(node), Arc::new(record(life(node, boot), lost))))
            .collect();
        let other = |seen: &[SeenNode]| other_specs(Some(1), NodeId(1), &nodes, seen);
        assert!(other(&[seen(life(2, 2), 100)]).is_some_and(|alarm| alarm.starts_with("node 2 loaded")));
        assert_eq!(other(&[seen(life(1, 1), 100)]), None, "this node");
        assert_eq!(other(&[seen(life(2, 2), 2_000)]), None, "not heard for long");
        assert_eq!(other(&[seen(life(2, 1), 100)]), None, "an earlier life");
        assert_eq!(other(&[seen(life(3, 1), 100)]), None, "lost");
        assert_eq!(other_specs(Some(2), NodeId(1), &nodes, &[seen(life(2, 2), 100)]), None, "the same");
    }
}
