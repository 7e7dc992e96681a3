//! openraft's network over a [`Transport`]: appends are pipelined, snapshots go in chunks on a connection of their own.

use std::{future::Future, io, sync::Arc, time::Duration};

use bytes::Bytes;
use capstan_model::{buggify, failpoint, ids::NodeId};
use futures::{Stream, StreamExt, future::BoxFuture, stream::BoxStream};
use openraft::{
    EmptyNode, RaftNetworkFactory, RaftNetworkV2,
    entry::RaftEntry,
    errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::RPCOption,
    raft::{
        AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
        TransferLeaderRequest, VoteRequest, VoteResponse,
    },
    type_config::alias::SnapshotOf,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    peer::{Channel, PeerError, PeerReply, PeerRequest, SnapshotStep, Transport},
    snapshot::SnapshotHandle,
    timing::Timing,
    type_config::{TypeConfig, Vote},
};

/// How many appends may be under way to one follower: enough to keep the wire and both disks busy.
const APPENDS_IN_FLIGHT: usize = 8;
/// Bytes of one snapshot chunk.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Bytes of a small one, in simulations.
const SMALL_CHUNK_BYTES: usize = 1024;

/// Makes a [`PeerNetwork`] for each follower.
pub(crate) struct Network {
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) timing: Timing,
}

/// openraft's way to one follower on one channel.
pub(crate) struct PeerNetwork {
    to: NodeId,
    channel: Channel,
    transport: Arc<dyn Transport>,
    timing: Timing,
}

impl Network {
    fn client(&self, target: u64, channel: Channel) -> PeerNetwork {
        PeerNetwork {
            to: NodeId(target),
            channel,
            transport: Arc::clone(&self.transport),
            timing: self.timing.clone(),
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = PeerNetwork;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> PeerNetwork {
        self.client(target, Channel::Raft)
    }

    async fn new_heartbeat_client(&mut self, target: u64, _node: &EmptyNode) -> PeerNetwork {
        self.client(target, Channel::Heartbeat)
    }

    async fn new_snapshot_client(&mut self, target: u64, _node: &EmptyNode) -> PeerNetwork {
        self.client(target, Channel::Snapshot)
    }
}

impl PeerNetwork {
    /// How long an append may go unanswered: longer than a slow fsync, so that a slow disk is not taken for a dead node.
    fn append_patience(&self) -> Duration {
        (self.timing.election_max * 5).max(Duration::from_secs(1))
    }

    fn call<A>(
        &self,
        request: PeerRequest,
        patience: Duration,
    ) -> impl Future<Output = Result<A, RPCError<TypeConfig>>> + Send + use<A>
    where
        A: DeserializeOwned,
    {
        let call = self.transport.call(self.to, self.channel, request, patience);
        async move {
            match call.await.map_err(rpc_error)? {
                PeerReply::Raft(bytes) => {
                    decode(&bytes).map_err(|e| RPCError::Network(NetworkError::new(&e)))
                }
                other => Err(RPCError::Network(NetworkError::from_string(unexpected(&other)))),
            }
        }
    }

    async fn snapshot_step(&self, step: SnapshotStep) -> Result<Option<Bytes>, StreamingError<TypeConfig>> {
        let request = PeerRequest::Snapshot(step);
        match self.transport.call(self.to, Channel::Snapshot, request, self.timing.snapshot_step).await {
            Ok(PeerReply::Snapshot(answer)) => Ok(answer),
            Ok(other) => Err(StreamingError::Network(NetworkError::from_string(unexpected(&other)))),
            Err(error) => Err(rpc_error(error).into()),
        }
    }

    async fn send_snapshot(
        &self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotHandle>,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let handle = snapshot.snapshot;
        let transfer = handle.transfer_id();
        self.snapshot_step(SnapshotStep::Begin { transfer, manifest: handle.manifest_bytes() }).await?;
        for (file, len) in handle.files() {
            let mut offset = 0;
            while offset < len {
                let is_small = buggify!("buggify: a chunk of a snapshot is small");
                let bytes = handle
                    .read(file, offset, if is_small { SMALL_CHUNK_BYTES } else { CHUNK_BYTES })
                    .map_err(|e| StreamingError::Network(NetworkError::new(&e)))?;
                let read = bytes.len() as u64;
                failpoint!("snapshot: being sent");
                self.snapshot_step(SnapshotStep::Chunk { transfer, file, offset, bytes }).await?;
                offset += read;
            }
        }
        let vote_and_meta = encode(&(vote, snapshot.meta));
        let answer = self.snapshot_step(SnapshotStep::End { transfer, vote_and_meta }).await?;
        let bytes = answer.ok_or_else(|| {
            StreamingError::Network(NetworkError::from_string(
                "the follower did not answer the snapshot's end",
            ))
        })?;
        decode(&bytes).map_err(|e| StreamingError::Network(NetworkError::new(&e)))
    }
}

impl RaftNetworkV2<TypeConfig> for PeerNetwork {
    type SnapshotData = SnapshotHandle;

    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(PeerRequest::Append(encode(&rpc)), self.append_patience()).await
    }

    /// Sends appends without waiting for the answers of earlier ones; answers come back in order.
    ///
    /// The stream ends at the first answer that is not a full success. A transport error is its last item: a stream that
    /// merely ended would leave its entries counted as under way, and openraft purges nothing that is, so a leader would keep
    /// its whole log for as long as a follower is away.
    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        _option: RPCOption,
    ) -> BoxFuture<
        's,
        Result<
            BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>,
            RPCError<TypeConfig>,
        >,
    >
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        let network = &*self;
        let patience = self.append_patience();
        let in_flight = if buggify!("buggify: one append is under way") { 1 } else { APPENDS_IN_FLIGHT };
        let answers = input
            .map(move |request| {
                let last = request.entries.last().map(RaftEntry::log_id).or(request.prev_log_id);
                let previous = request.prev_log_id;
                let call = network.call::<AppendEntriesResponse<TypeConfig>>(
                    PeerRequest::Append(encode(&request)),
                    patience,
                );
                async move { (previous, last, call.await) }
            })
            .buffered(in_flight);
        let answers = answers.scan(false, move |ended, (previous, last, answer)| {
            let item = match answer {
                _ if *ended => None,
                Err(error) => {
                    *ended = true;
                    Some(Err(error))
                }
                Ok(answer) => {
                    let partial =
                        matches!(&answer, AppendEntriesResponse::PartialSuccess(upto) if *upto != last);
                    let result = answer.into_stream_result(previous, last);
                    *ended = partial || result.is_err();
                    Some(Ok(result))
                }
            };
            futures::future::ready(item)
        });
        Box::pin(futures::future::ready(Ok(answers.boxed())))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(PeerRequest::Vote(encode(&rpc)), self.append_patience()).await
    }

    async fn pre_vote(
        &mut self,
        rpc: VoteRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(PeerRequest::PreVote(encode(&rpc)), self.append_patience()).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf<TypeConfig, SnapshotHandle>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let cancel = std::pin::pin!(cancel);
        let sending = std::pin::pin!(self.send_snapshot(vote, snapshot));
        match futures::future::select(cancel, sending).await {
            futures::future::Either::Left((closed, _)) => Err(closed.into()),
            futures::future::Either::Right((result, _)) => result,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<openraft::raft::TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        self.call(PeerRequest::TransferLeader(encode(&request)), self.append_patience()).await
    }
}

/// Encodes a message of openraft's for a peer.
pub(crate) fn encode<T: Serialize>(message: &T) -> Bytes {
    postcard::to_stdvec(message).expect("openraft's messages are serialisable").into()
}

/// Decodes a message of openraft's from a peer.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    postcard::from_bytes(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

fn rpc_error(error: PeerError) -> RPCError<TypeConfig> {
    match error {
        PeerError::Unreachable { .. } => RPCError::Unreachable(Unreachable::new(&error)),
        PeerError::NoAnswer { .. } => RPCError::Network(NetworkError::new(&error)),
    }
}

fn unexpected(reply: &PeerReply) -> String {
    match reply {
        PeerReply::Failed(reason) => reason.clone(),
        other => format!("unexpected answer {other:?}"),
    }
}
