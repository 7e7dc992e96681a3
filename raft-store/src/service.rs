//! Serves the calls of other nodes.

use std::sync::Arc;

use capstan_model::ids::NodeId;
use futures::future::BoxFuture;
use openraft::{
    raft::{AppendEntriesRequest, TransferLeaderRequest, VoteRequest},
    type_config::alias::SnapshotOf,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    cluster::Shared,
    dispatcher::FORWARD_PATIENCE,
    handle::CLIENT_DEADLINE,
    network::{decode, encode},
    peer::{ForwardError, HeartbeatReply, PeerIdentity, PeerReply, PeerRequest, PeerService, SnapshotStep},
    snapshot::SnapshotHandle,
    type_config::{SnapshotMeta, TypeConfig, Vote},
};

/// The node as its peers see it.
pub(crate) struct Service {
    pub(crate) shared: Arc<Shared>,
}

impl PeerService for Service {
    fn identity(&self) -> PeerIdentity {
        self.shared.peer_identity()
    }

    fn admit(&self, peer: &PeerIdentity) -> Result<(), String> {
        let own = self.identity();
        if peer.node == own.node {
            return Err(format!(
                "node {} is this node itself: two nodes have one id, or an address points home",
                own.node
            ));
        }
        if !self.shared.voters.contains(&peer.node) {
            return Err(format!(
                "node {} is not configured here; the voters are {:?}",
                peer.node, self.shared.voters
            ));
        }
        if let (Some(mine), Some(theirs)) = (own.cluster, peer.cluster)
            && mine != theirs
        {
            capstan_model::sometimes!("node of another cluster refused");
            return Err(format!("node {} belongs to cluster {theirs}, not to {mine}", peer.node));
        }
        if peer.cluster_version != own.cluster_version {
            return Err(format!(
                "node {} speaks cluster version {}, not {}",
                peer.node, peer.cluster_version, own.cluster_version
            ));
        }
        self.shared.check_life(peer.incarnation, peer.disk)
    }

    fn handle(&self, from: NodeId, request: PeerRequest) -> BoxFuture<'static, PeerReply> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            match request {
                PeerRequest::Append(bytes) => {
                    let append = |rpc: AppendEntriesRequest<TypeConfig>| {
                        let raft = shared.raft.clone();
                        async move { raft.append_entries(rpc).await }
                    };
                    raft_call(&bytes, append).await
                }
                PeerRequest::Vote(bytes) => {
                    let vote = |rpc: VoteRequest<TypeConfig>| {
                        let raft = shared.raft.clone();
                        async move {
                            let candidate = rpc.vote;
                            let answer = raft.vote(rpc).await;
                            capstan_model::sometimes!(
                                "two candidates in one term",
                                is_rival(&answer, &candidate)
                            );
                            answer
                        }
                    };
                    raft_call(&bytes, vote).await
                }
                PeerRequest::PreVote(bytes) => {
                    let pre_vote = |rpc: VoteRequest<TypeConfig>| {
                        let raft = shared.raft.clone();
                        async move {
                            let answer = raft.pre_vote(rpc).await;
                            capstan_model::sometimes!(
                                "pre-vote denied",
                                answer.as_ref().is_ok_and(|answer| !answer.vote_granted)
                            );
                            answer
                        }
                    };
                    raft_call(&bytes, pre_vote).await
                }
                PeerRequest::TransferLeader(bytes) => {
                    let raft = shared.raft.clone();
                    let transfer = |rpc: TransferLeaderRequest<TypeConfig>| async move {
                        raft.handle_transfer_leader(rpc).await
                    };
                    raft_call(&bytes, transfer).await
                }
                PeerRequest::Snapshot(step) => shared.receive_snapshot(from, step).await,
                PeerRequest::Forward(batch) => PeerReply::Forwarded(match shared.leads() {
                    // The sender gives up then, and what it gave up need not be appended.
                    true => tokio::time::timeout(FORWARD_PATIENCE, shared.sequencer.submit(batch))
                        .await
                        .unwrap_or_else(|late| {
                            capstan_model::sometimes!("forwarded batch not applied within its deadline");
                            Err(ForwardError::Unknown { reason: late.to_string() })
                        }),
                    false => Err(shared.not_leader().await),
                }),
                PeerRequest::ReadIndex => PeerReply::ReadIndex(match shared.leads() {
                    true => shared
                        .reads
                        .confirm(CLIENT_DEADLINE)
                        .await
                        .map_err(|error| ForwardError::Unknown { reason: error.to_string() }),
                    false => Err(shared.not_leader().await),
                }),
                PeerRequest::Heartbeat(heartbeat) => {
                    PeerReply::Heartbeat(if heartbeat.incarnation.node == from {
                        shared.acknowledge(*heartbeat)
                    } else {
                        let reason = format!("node {from} reported as node {}", heartbeat.incarnation.node);
                        HeartbeatReply::Refused { reason }
                    })
                }
                PeerRequest::IsEmpty => PeerReply::IsEmpty(shared.is_empty().await),
                PeerRequest::LiveStatus { .. } => PeerReply::Failed("the store runs no jobs".to_owned()),
                PeerRequest::ReadOutput(_) => PeerReply::Failed("the store has no cell".to_owned()),
            }
        })
    }
}

/// Decodes a message of openraft's, has it handled and encodes the answer.
async fn raft_call<Q, A, E, F>(bytes: &[u8], handle: impl FnOnce(Q) -> F) -> PeerReply
where
    Q: DeserializeOwned,
    A: Serialize,
    E: std::fmt::Display,
    F: Future<Output = Result<A, E>>,
{
    match decode(bytes) {
        Err(error) => {
            capstan_model::sometimes!("undecodable raft message refused");
            PeerReply::Failed(format!("undecodable raft message: {error}"))
        }
        Ok(message) => match handle(message).await {
            Ok(answer) => PeerReply::Raft(encode(&answer)),
            Err(error) => PeerReply::Failed(error.to_string()),
        },
    }
}

impl Shared {
    /// Takes one step of a snapshot from the leader; the last installs it.
    async fn receive_snapshot(&self, from: NodeId, step: SnapshotStep) -> PeerReply {
        let result = match step {
            SnapshotStep::Begin { transfer, manifest } => self.incoming.begin((from, transfer), &manifest),
            SnapshotStep::Chunk { transfer, file, offset, bytes } => {
                self.incoming.chunk((from, transfer), file, offset, &bytes)
            }
            SnapshotStep::End { transfer, vote_and_meta } => {
                match self.incoming.end((from, transfer)).await {
                    Ok(handle) => return self.install(handle, &vote_and_meta).await,
                    Err(error) => Err(error),
                }
            }
        };
        match result {
            Ok(()) => PeerReply::Snapshot(None),
            Err(error) => {
                tracing::warn!(%error, "a snapshot's step failed");
                PeerReply::Failed(error.to_string())
            }
        }
    }

    async fn install(&self, handle: SnapshotHandle, vote_and_meta: &[u8]) -> PeerReply {
        let (vote, meta): (Vote, SnapshotMeta) = match decode(vote_and_meta) {
            Ok(decoded) => decoded,
            Err(error) => return PeerReply::Failed(format!("undecodable snapshot metadata: {error}")),
        };
        tracing::info!(index = meta.last_log_id.map(|id| id.index), "installing a snapshot");
        let snapshot = SnapshotOf::<TypeConfig, SnapshotHandle> { meta, snapshot: handle };
        match self.raft.install_full_snapshot(vote, snapshot).await {
            Ok(response) => PeerReply::Snapshot(Some(encode(&response))),
            Err(error) => PeerReply::Failed(error.to_string()),
        }
    }
}

/// Whether a vote was refused because another candidate has it.
fn is_rival<E>(answer: &Result<openraft::raft::VoteResponse<TypeConfig>, E>, candidate: &Vote) -> bool {
    answer.as_ref().is_ok_and(|answer| {
        let (mine, theirs) = (answer.vote.leader_id, candidate.leader_id);
        mine.term == theirs.term && mine.voted_for != theirs.voted_for
    })
}
