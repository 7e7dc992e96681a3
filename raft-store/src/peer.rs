//! Messages between nodes, and the trait that carries them.
//!
//! Calls are encoded by whoever carries them; what is openraft's travels inside as bytes, so that no type of it shows here.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use capstan_model::{
    command::{Sealed, Settled},
    ids::{ClusterId, DiskId, Incarnation, JobId, NodeId, RequestId, TryNo},
    lrp::actual::ActualKey,
    time::Timestamp,
};
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// One connection of the four between two nodes: a slow use of one must not hold up another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Channel {
    /// Raft's appends and votes, handled in the order sent.
    Raft,
    /// Snapshots.
    Snapshot,
    /// Commands on their way to the leader, and read indexes.
    Forward,
    /// Heartbeats of nodes, and what is asked before there is a cluster.
    Heartbeat,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Raft, Self::Snapshot, Self::Forward, Self::Heartbeat];
}

/// What one node asks of another. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// openraft's append-entries.
    Append(Bytes),
    /// openraft's vote.
    Vote(Bytes),
    /// openraft's pre-vote.
    PreVote(Bytes),
    /// openraft's leader transfer.
    TransferLeader(Bytes),
    /// One step of a snapshot's way.
    Snapshot(SnapshotStep),
    /// Commands for the leader.
    Forward(Batch),
    /// Asks the leader for an index confirmed by a quorum after the call arrived.
    ReadIndex,
    /// "I am alive", to the leader.
    Heartbeat(Box<Heartbeat>),
    /// Asks a configured voter whether its data directory is empty, before a cluster is founded.
    IsEmpty,
    /// Asks what the tries that run there say of themselves; served by what is above the store.
    LiveStatus {
        /// Of this request only.
        request: Option<RequestId>,
    },
    /// Asks what instances wrote there; served by what is above the store, from that node's files alone.
    ReadOutput(Box<ReadOutput>),
}

/// The answer to a [`PeerRequest`]. New variants go at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerReply {
    /// openraft's answer to its own message.
    Raft(Bytes),
    /// A snapshot's step was taken; the last one carries openraft's answer.
    Snapshot(Option<Bytes>),
    /// The commands were applied at the leader up to this index.
    Forwarded(Result<u64, ForwardError>),
    /// The confirmed read index.
    ReadIndex(Result<u64, ForwardError>),
    /// The leader's answer to a heartbeat.
    Heartbeat(HeartbeatReply),
    /// Whether the directory holds no cluster's data.
    IsEmpty(bool),
    /// The call could not be served; openraft's errors travel as text.
    Failed(String),
    /// What running tries say of themselves.
    LiveStatus(Vec<TryStatus>),
    /// What instances wrote, or why it cannot be read.
    Output(Result<OutputPage, String>),
}

/// What a running try says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TryStatus {
    /// The request.
    pub request: RequestId,
    /// The job.
    pub job: JobId,
    /// The try.
    pub try_no: TryNo,
    /// Its words; never empty.
    pub status: String,
}

/// Asks for some lines that the instances of one index of an LRP wrote on a cell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadOutput {
    /// The index.
    pub key: ActualKey,
    /// From where on.
    pub from: OutputFrom,
    /// Of this stream only.
    pub stream: Option<OutputStream>,
}

/// From where on output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputFrom {
    /// From the first line that fits.
    Lines {
        /// Written then or later, by the clock of the cell.
        since: Option<Timestamp>,
        /// Among the last so many.
        tail: Option<u64>,
    },
    /// From where the page before ended.
    Place(OutputPlace),
}

/// A place between two lines, as the cell that has them names it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPlace {
    /// The number of the file.
    pub file: u64,
    /// In bytes, from its beginning.
    pub offset: u64,
}

/// Some lines of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputPage {
    /// The lines, the oldest first.
    pub lines: Vec<OutputLine>,
    /// Where the next page begins.
    pub next: OutputPlace,
    /// Whether these were all that there were.
    pub is_last: bool,
    /// Whether the cell has any output of the index.
    pub is_known: bool,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputLine {
    /// When it was written, by the clock of its cell.
    pub at: Timestamp,
    /// Where to.
    pub stream: OutputStream,
    /// By which of the sources of the instance.
    pub source: String,
    /// The line, without its end.
    pub text: String,
}

/// One of the two streams of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OutputStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A batch of sealed commands from one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// What the sender has settled.
    pub settled: Settled,
    /// The commands that go first: what the cluster needs to make progress.
    pub progress: Vec<Sealed>,
    /// The clients' commands.
    pub client: Vec<Sealed>,
}

/// Why the addressed node did not do a leader's work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum ForwardError {
    /// Nothing was appended.
    #[error("not the leader; {leader:?} may be")]
    NotLeader {
        /// Who it takes for the leader.
        leader: Option<NodeId>,
    },
    /// Nothing was appended: the leader's client lane is full.
    #[error("the leader's queue is full")]
    QueueFull,
    /// Nothing was appended: the leader is short of disk.
    #[error("the leader's disk is nearly full")]
    DiskNearlyFull,
    /// The commands may have been appended.
    #[error("outcome unknown: {reason}")]
    Unknown {
        /// What happened.
        reason: String,
    },
}

/// One step of a snapshot's way from leader to follower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SnapshotStep {
    /// Opens a transfer; the receiver drops any other.
    Begin {
        /// Names the transfer.
        transfer: u64,
        /// The snapshot's manifest, encoded.
        manifest: Bytes,
    },
    /// Bytes of one file, in order.
    Chunk {
        /// Names the transfer.
        transfer: u64,
        /// Which file of the manifest.
        file: u32,
        /// Where in it.
        offset: u64,
        /// At most 1 MiB.
        bytes: Bytes,
    },
    /// All files were sent: check, keep, install.
    End {
        /// Names the transfer.
        transfer: u64,
        /// The leader's vote and the snapshot's metadata, encoded.
        vote_and_meta: Bytes,
    },
}

/// What a node says of itself every [`crate::timing::Timing::node_heartbeat`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Its life.
    pub incarnation: Incarnation,
    /// Its disk.
    pub disk: DiskId,
    /// What it offers.
    pub facts: NodeFacts,
    /// Its wall clock.
    pub wall: Timestamp,
    /// The newest checkpoint of its state's checksum: an index divisible by 1,024, and the checksum there.
    pub checksum: Option<(u64, u128)>,
    /// Its applied index.
    pub applied: u64,
    /// Whether its disk is nearly full, so that it must not be made the leader.
    pub disk_nearly_full: bool,
    /// A hash of the request specs it has loaded; `None` without any.
    pub specs: Option<u128>,
}

/// What a node offers and where it is reached; fixed for one incarnation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeFacts {
    /// `host:port` for its peers.
    pub peer_address: Arc<str>,
    /// `host:port` of its HTTP API.
    pub http_address: Arc<str>,
    /// How many jobs it runs at a time.
    pub slots: u32,
    /// The job types it offers, sorted.
    pub job_types: Vec<Arc<str>>,
}

/// The leader's answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HeartbeatReply {
    /// A leader whose own quorum acknowledgement is fresh has seen it; the lease counts from the heartbeat's sending.
    Acknowledged {
        /// The median of the wall clocks a majority reports; `None` until one has.
        median: Option<Timestamp>,
        /// The checksum at the index the heartbeat named, as most nodes report it.
        checksum: Option<(u64, u128)>,
    },
    /// The addressed node cannot acknowledge.
    NotLeader {
        /// Who it takes for the leader.
        leader: Option<NodeId>,
    },
    /// The leader refuses the node.
    Refused {
        /// Why, and what would be right.
        reason: String,
    },
}

/// Who is at the other end of a connection: the content of a hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerIdentity {
    /// The cluster it belongs to; `None` while its data directory is empty.
    pub cluster: Option<ClusterId>,
    /// Its node id.
    pub node: NodeId,
    /// Its data directory.
    pub disk: DiskId,
    /// Its life.
    pub incarnation: Incarnation,
    /// The version that gates what apply does.
    pub cluster_version: u32,
}

impl PeerIdentity {
    /// Whether this is the node that was dialled.
    ///
    /// # Errors
    /// Another one answers at that address.
    pub fn check_dialled(&self, dialled: NodeId) -> Result<(), String> {
        if self.node == dialled {
            return Ok(());
        }
        let answers = self.node;
        Err(format!(
            "node {answers} answered where node {dialled} was dialled: check the configured addresses"
        ))
    }
}

/// Why a call had no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The call's bytes never left: nothing happened at the other end.
    #[error("node {node} cannot be reached: {reason}")]
    Unreachable {
        /// Whom the call was for.
        node: NodeId,
        /// What happened.
        reason: String,
    },
    /// The call may have been served.
    #[error("the call to node {node} had no answer: {reason}")]
    NoAnswer {
        /// Whom the call was for.
        node: NodeId,
        /// What happened.
        reason: String,
    },
}

/// Carries calls to other nodes.
pub trait Transport: Send + Sync + 'static {
    /// Sends a call and waits for its answer, at most until `deadline` has passed. The future does nothing before it is
    /// polled, and calls on [`Channel::Raft`] to one node arrive in the order in which their futures were first polled.
    fn call(
        &self,
        to: NodeId,
        channel: Channel,
        request: PeerRequest,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<PeerReply, PeerError>>;
}

/// Serves the calls of other nodes.
pub trait PeerService: Send + Sync + 'static {
    /// Who this node is, for hellos.
    fn identity(&self) -> PeerIdentity;

    /// Whether a peer may speak with this node.
    ///
    /// # Errors
    /// The reason for the refusal, which the transport tells the peer: another cluster, another disk under a known node
    /// id, a node that is not configured.
    fn admit(&self, peer: &PeerIdentity) -> Result<(), String>;

    /// Serves one call. On [`Channel::Raft`] a transport polls the futures of one peer for the first time in the order the
    /// calls arrived.
    fn handle(&self, from: NodeId, request: PeerRequest) -> BoxFuture<'static, PeerReply>;
}
