//! The one door upward: writing, reading and watching the replicated state from any node.

use std::{sync::Arc, time::Duration};

use capstan_model::{
    auth::Author,
    command::{Command, Idempotency},
    ids::{ClusterId, CommandId, Incarnation, NodeId},
    reply::Reply,
    sometimes,
};
use tokio::{sync::watch, time::Instant};

use crate::{cluster::Shared, hints::RequestHints};
pub use crate::{
    heartbeat::SeenNode,
    status::{RaftStatus, Readiness, Role},
    view::View,
};

/// How long a client's call may take: less than the five seconds after which `spinc` gives up.
pub const CLIENT_DEADLINE: Duration = Duration::from_secs(4);
/// How long a node that stops waits for another to lead.
const HANDING_OVER: Duration = Duration::from_secs(1);
/// How long a command that the cluster needs may take before its actor looks again.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(10);

/// A cheap handle to the replicated state. Callers cannot tell whether they are on the leader.
#[derive(Clone)]
pub struct ClusterHandle {
    pub(crate) shared: Arc<Shared>,
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The state machine's answer, the same on every node.
    pub reply: Reply,
    /// The log index under which this node applied it.
    pub index: u64,
}

/// Which queue a command waits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Clients' commands: refused when the queue is full or the disk nearly so.
    Client,
    /// What the cluster needs to make progress; goes first in every batch.
    Progress,
}

/// How a command is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposeOptions {
    /// Its queue.
    pub lane: Lane,
    /// Who has it proposed; `None` is the cluster itself, which is asked for nothing.
    pub author: Option<Author>,
    /// Its `Idempotency-Key`, when the caller sent one.
    pub idempotency: Option<Idempotency>,
    /// How long to wait for the answer.
    pub deadline: Duration,
}

impl ProposeOptions {
    /// A client's call; its author is to be added.
    pub fn client() -> Self {
        Self { lane: Lane::Client, author: None, idempotency: None, deadline: CLIENT_DEADLINE }
    }

    /// An actor's report or a timer.
    pub fn progress() -> Self {
        Self { lane: Lane::Progress, author: None, idempotency: None, deadline: PROGRESS_DEADLINE }
    }
}

/// Why a proposal did not end in a reply from the state machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Nothing was appended; sending the command again is safe.
    #[error("no leader took the command within {waited:?}")]
    NoLeader {
        /// How long it was tried.
        waited: Duration,
    },
    /// Nothing was appended: this node has not been admitted to the cluster yet.
    #[error("this node has not joined the cluster yet")]
    NotJoined,
    /// Nothing was appended: too many commands are under way.
    #[error("too many commands are under way")]
    QueueFull,
    /// Nothing was appended: the leader's disk is nearly full.
    #[error("the leader's disk is nearly full")]
    DiskNearlyFull,
    /// Nothing was appended: the node is stopping.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// Nothing was appended: the command is over its bound.
    #[error("{reason}")]
    TooLarge {
        /// Its size and the bound.
        reason: String,
    },
    /// The entry may still commit; only the same [`CommandId`] would be safe to send again.
    #[error("outcome of command {id} unknown after {waited:?}")]
    OutcomeUnknown {
        /// The command.
        id: CommandId,
        /// How long it was waited for.
        waited: Duration,
    },
}

/// What a read needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// All that was acknowledged anywhere before the read began.
    Linearizable,
    /// Whatever this node has applied.
    Stale,
    /// At least this log index.
    AtLeast(u64),
}

/// Why a read had no view. Nothing happened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No leader confirmed a read index in time.
    #[error("no leader confirmed the read within {waited:?}")]
    NoLeader {
        /// How long it was tried.
        waited: Duration,
    },
    /// This node did not apply the index in time.
    #[error("this node is at index {applied}, not yet at {index}")]
    NotReached {
        /// The wanted index.
        index: u64,
        /// What it has applied.
        applied: u64,
    },
    /// The node is stopping.
    #[error("the node is shutting down")]
    ShuttingDown,
}

impl ClusterHandle {
    /// From now on this node's reports to the leader name these request specs, by a hash of their files; `None` when it has none.
    pub fn announce_specs(&self, hash: Option<u128>) {
        self.shared.heartbeats.announce_specs(hash);
    }

    /// What [`Self::announce_specs`] was last told.
    pub fn announced_specs(&self) -> Option<u128> {
        self.shared.heartbeats.announced_specs()
    }

    /// Proposes a command and waits until this node has applied it.
    ///
    /// # Errors
    /// See [`ProposeError`]: every variant but `OutcomeUnknown` says that nothing was appended.
    pub async fn propose(
        &self,
        command: Command,
        options: ProposeOptions,
    ) -> Result<Committed, ProposeError> {
        let started = Instant::now();
        if !command.has_natural_key() {
            self.wait_until_joined(options.deadline).await?;
        }
        let deadline = options.deadline.saturating_sub(started.elapsed());
        self.shared.outbox.propose(command, ProposeOptions { deadline, ..options }).await
    }

    /// Reads the state as the caller needs it.
    ///
    /// # Errors
    /// See [`ReadError`]; reading again is always safe.
    pub async fn read(&self, consistency: Consistency) -> Result<View, ReadError> {
        let started = Instant::now();
        let index = match consistency {
            Consistency::Stale => return Ok(self.view()),
            Consistency::AtLeast(_) if capstan_model::mutant!("at-least-ignored") => return Ok(self.view()),
            Consistency::AtLeast(index) => index,
            Consistency::Linearizable => self.shared.reads.confirm(CLIENT_DEADLINE).await?,
        };
        if capstan_model::mutant!("read-index-not-awaited") {
            return Ok(self.view());
        }
        self.shared.publisher.reach(index, CLIENT_DEADLINE.saturating_sub(started.elapsed())).await
    }

    /// The newest published state of this node.
    pub fn view(&self) -> View {
        self.shared.publisher.view()
    }

    /// Follows the index of the newest published state.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.publisher.watch()
    }

    /// Follows which requests something happened to, from now on.
    pub fn request_hints(&self) -> RequestHints {
        self.shared.publisher.hints()
    }

    /// Follows this node's leadership: the term once it leads *and* has applied its own first entry, so that what leads may
    /// look at the state; `None` otherwise.
    pub fn leadership(&self) -> watch::Receiver<Option<u64>> {
        self.shared.leadership.clone()
    }

    /// The moment (on [`crate::ports::Clock::monotonic`]) until which this node may run jobs; `None` before the first
    /// acknowledged heartbeat.
    pub fn lease(&self) -> watch::Receiver<Option<Duration>> {
        self.shared.heartbeats.lease()
    }

    /// Where Raft stands on this node; local and cheap.
    pub fn status(&self) -> RaftStatus {
        self.shared.status()
    }

    /// Whether this node should be given traffic, and if not, why.
    pub fn readiness(&self) -> Readiness {
        self.shared.readiness()
    }

    /// What this node has heard from others as leader in this term; on other nodes only of itself.
    pub fn heartbeats(&self) -> Vec<SeenNode> {
        self.shared.heartbeats.seen()
    }

    /// From now on this node reports to the leader, so that it is admitted, and what its earlier lives owned goes to others. Called once
    /// nothing of those is left running.
    pub fn begin_reports(&self) {
        self.shared.heartbeats.begin();
    }

    /// Acknowledges no more reports of a life in this term, if it has been silent for longer than `patience`; says whether that is so.
    /// Called before the life is declared lost: a report that comes while that is being committed would extend its lease.
    pub fn give_up(&self, term: u64, life: Incarnation, patience: Duration) -> bool {
        self.shared.heartbeats.give_up(term, life, patience)
    }

    /// Whether this node leads and a quorum has answered it lately. Otherwise it acknowledges no report, and knows of nobody whether he is
    /// silent.
    pub fn hears_a_quorum(&self) -> bool {
        self.shared.hears_a_quorum()
    }

    /// Whether a leader has acknowledged this node within the lease.
    pub fn is_acknowledged(&self) -> bool {
        self.shared.heartbeats.is_acknowledged()
    }

    /// This node's id.
    pub fn node_id(&self) -> NodeId {
        self.shared.incarnation.node
    }

    /// This node's present life.
    pub fn incarnation(&self) -> Incarnation {
        self.shared.incarnation
    }

    /// The cluster, once it is founded.
    pub fn cluster_id(&self) -> Option<ClusterId> {
        self.shared.cluster_id()
    }

    /// Asks another voter to lead, if this node leads, and waits until one does or for a second.
    pub async fn hand_leadership_over(&self) {
        let leads = || self.shared.leadership.borrow().is_some();
        if !leads() {
            return;
        }
        self.shared.hand_over("this node is about to stop").await;
        let mut leadership = self.shared.leadership.clone();
        // Without a successor the others elect one when this node is gone.
        let _ = tokio::time::timeout(HANDING_OVER, leadership.wait_for(Option::is_none)).await;
    }

    /// Stops proposing and stops Raft; what waits is refused.
    pub async fn shutdown(&self) {
        self.shared.outbox.close();
        if let Err(error) = self.shared.raft.shutdown().await {
            tracing::warn!(%error, "raft did not stop cleanly");
        }
        self.shared.tasks.end();
    }

    /// Before its incarnation is in the node table a node has no session, and proposes nothing that needs one.
    async fn wait_until_joined(&self, patience: Duration) -> Result<(), ProposeError> {
        let incarnation = self.incarnation();
        if self.view().state().sessions.of(incarnation).is_some() {
            return Ok(());
        }
        sometimes!("a proposer waits for its node to be admitted");
        let mut applied = self.watch();
        let joined = async {
            while self.view().state().sessions.of(incarnation).is_none() {
                if applied.changed().await.is_err() {
                    return Err(ProposeError::ShuttingDown);
                }
            }
            Ok(())
        };
        tokio::time::timeout(patience, joined).await.unwrap_or(Err(ProposeError::NotJoined))
    }
}

impl std::fmt::Debug for ClusterHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterHandle").field("node", &self.node_id()).finish_non_exhaustive()
    }
}
