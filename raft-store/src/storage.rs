//! Opening a data directory: who it belongs to, what a crash has left, and whether it may go on from there.
//!
//! ```text
//! identity                 whose directory this is
//! log/                     the log engine; its lock is the directory's
//! state/                   the live database, see generation.rs
//! snapshots/               see snapshot.rs
//! ```

use std::{io, sync::Arc};

use capstan_model::ids::{DiskId, NodeId};

use crate::{
    engine::{Disk, EngineKind, Health, LatchedDisk},
    generation::{self, Found},
    identity::{self, DirectoryIdentity, Identity, IdentityFile},
    log::{LogMeter, LogStore},
    machine::{AppliedSink, Live, MachineStats, Parts, StateMachine, load},
    ports::{Entropy, FatalSink},
    snapshot::{SnapshotBuilder, SnapshotReceiver, Snapshots},
    view::View,
};

/// The log engine's folder.
const LOG: &str = "log";

/// Why a data directory was not opened. None of these goes away by trying again, but [`OpenError::InUse`].
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another node of this one, has it open.
    #[error("the data directory is in use by another process")]
    InUse(#[source] io::Error),
    /// It belongs to another node: starting on it would make two nodes one.
    #[error("the data directory belongs to node {found}, not to node {wanted}")]
    OtherNode {
        /// Whose it is.
        found: NodeId,
        /// Who wanted to start on it.
        wanted: NodeId,
    },
    /// There is data without the files that say whose and which it is.
    #[error("the data directory is incomplete: {missing} is missing beside a log that was used")]
    Incomplete {
        /// What is missing.
        missing: &'static str,
    },
    /// Entries are gone that this node had told others were safe; going on could lose what the cluster promised.
    #[error("the log ends at {last:?}, but had been written to disk up to {flushed}: the disk has lost acknowledged entries")]
    LogLost {
        /// Where the log ends.
        last: Option<u64>,
        /// How far it was known to be durable.
        flushed: u64,
    },
    /// The log's front was removed further than state and snapshots go.
    #[error("the log was purged up to {purged}, but the state ends at {applied:?} and no snapshot goes further")]
    StateLost {
        /// The last entry that was removed.
        purged: u64,
        /// The last entry in the state.
        applied: Option<u64>,
    },
    /// The disk failed, or what it holds is damaged.
    #[error("the data directory could not be opened: {attempted}")]
    Disk {
        /// What was being done.
        attempted: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

/// An open data directory: what openraft is given, and what stays with the node.
pub(crate) struct Storage {
    /// Who this node is now.
    pub(crate) identity: Identity,
    log: LogStore,
    machine: StateMachine,
}

impl Storage {
    /// Opens the data directory of `node`, or makes a new one, and starts a new life of the node.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub(crate) async fn open(
        disk: Arc<dyn Disk>,
        node: NodeId,
        entropy: &dyn Entropy,
        fatal: Arc<dyn FatalSink>,
    ) -> Result<Self, OpenError> {
        let health = Health::new(fatal);
        let disk: Arc<dyn Disk> = Arc::new(LatchedDisk::new(disk, health.clone()));
        let log_engine = disk.open_engine(LOG, EngineKind::Log).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => OpenError::InUse(error),
            _ => OpenError::Disk { attempted: "open the log", source: error },
        })?;
        let known = identity::read(&*disk).map_err(failed("read the identity"))?;
        if let Some(known) = known
            && known.node != node
        {
            return Err(OpenError::OtherNode { found: known.node, wanted: node });
        }
        let snapshots = Arc::new(Snapshots::open(Arc::clone(&disk)).map_err(failed("open the snapshots"))?);
        let log = LogStore::open(log_engine, snapshots.durable()).await.map_err(failed("read the log"))?;
        if known.is_none() && !log.is_untouched() {
            return Err(OpenError::Incomplete { missing: "the file that says whose it is" });
        }
        let new = || DirectoryIdentity { cluster: None, node, disk: DiskId(entropy.u128()), boot: 0 };
        let directory = Arc::new(IdentityFile::new(Arc::clone(&disk), known.unwrap_or_else(new)));
        let machine = open_machine(&disk, &log, &snapshots, &directory, health).await?;
        machine.record_cluster().map_err(failed("record the cluster"))?;
        let identity = directory.start_life(entropy.u64()).map_err(failed("raise the boot count"))?;
        Ok(Self { identity, log, machine })
    }

    /// The state as it was found, or as a snapshot has made it.
    pub(crate) fn view(&self) -> View {
        self.machine.view()
    }

    /// What can be seen of the state machine later.
    pub(crate) fn stats(&self) -> Arc<MachineStats> {
        Arc::clone(&self.machine.parts().stats)
    }

    /// The live database, to be flushed before a snapshot.
    pub(crate) fn live(&self) -> Arc<Live> {
        Arc::clone(&self.machine.parts().live)
    }

    /// Starts new lives later, for a node that was declared lost.
    pub(crate) fn identity_file(&self) -> Arc<IdentityFile> {
        Arc::clone(&self.machine.parts().identity)
    }

    /// Counts the bytes of log appended.
    pub(crate) fn log_meter(&self) -> Arc<LogMeter> {
        self.log.meter()
    }

    /// Takes snapshots from other nodes.
    pub(crate) fn snapshot_receiver(&self) -> SnapshotReceiver {
        SnapshotReceiver::new(Arc::clone(&self.machine.parts().snapshots))
    }

    /// What openraft is given; from now on `sink` hears of what is applied.
    pub(crate) fn into_parts(mut self, sink: Arc<dyn AppliedSink>) -> (LogStore, StateMachine) {
        self.machine.publish_to(sink);
        (self.log, self.machine)
    }
}

async fn open_machine(
    disk: &Arc<dyn Disk>,
    log: &LogStore,
    snapshots: &Arc<Snapshots>,
    identity: &Arc<IdentityFile>,
    health: Health,
) -> Result<StateMachine, OpenError> {
    let found = generation::find(&**disk).map_err(failed("find the state"))?;
    if found == Found::Nothing && !log.is_untouched() {
        return Err(OpenError::Incomplete { missing: "the pointer to the state" });
    }
    let generation = Arc::new(generation::open(disk, found).map_err(failed("open the state"))?);
    let loaded = load(generation.engine()).map_err(failed("load the state"))?;
    let flushed = loaded.applied.and_then(|applied| applied.log_flushed_upto);
    let parts = Parts {
        snapshots: Arc::clone(snapshots),
        flushed: log.flushed(),
        stats: Arc::default(),
        identity: Arc::clone(identity),
        live: Arc::new(Live::new(Arc::clone(&generation))),
        health,
        sink: Arc::new(()),
    };
    check_flushed(log, flushed)?;
    let mut machine = StateMachine::new(generation, loaded, parts);
    finish_install(&mut machine, snapshots).await.map_err(failed("install the newest snapshot"))?;
    reconcile(log, &mut machine, snapshots).await?;
    Ok(machine)
}

/// Refuses a log that has lost what it had reported as durable.
fn check_flushed(log: &LogStore, flushed: Option<u64>) -> Result<(), OpenError> {
    let last = log.last().map(|last| last.index());
    match flushed {
        // The end of a purged log is what was purged.
        Some(flushed) if last < Some(flushed) => Err(OpenError::LogLost { last, flushed }),
        _ => Ok(()),
    }
}

/// A crash in the middle of an installation, or a power cut that threw the state further back than a snapshot, is made good.
async fn finish_install(machine: &mut StateMachine, snapshots: &Snapshots) -> io::Result<()> {
    match snapshots.newest() {
        Some(newest) if Some(newest.manifest().last_log_id) > machine.applied() => machine.install(newest).await,
        _ => Ok(()),
    }
}

/// Brings log and state together. The state may be ahead of the log, because entries are applied once they are written, not
/// once they are durable; or the log may have forgotten that its tail was replaced. Either way the entries it lacks are committed and
/// in the state, and what it has instead is not committed: after the state has a snapshot, the log starts anew behind it.
async fn reconcile(log: &LogStore, machine: &mut StateMachine, snapshots: &Arc<Snapshots>) -> Result<(), OpenError> {
    let applied = machine.applied();
    if let Some(purged) = log.purged()
        && applied < Some(purged)
    {
        return Err(OpenError::StateLost { purged: purged.index(), applied: applied.map(|id| id.index()) });
    }
    let Some(applied) = applied else { return Ok(()) };
    if log.contains(applied).map_err(failed("read the log"))? {
        return Ok(());
    }
    tracing::warn!(applied = %applied, last = ?log.last(), "the log does not reach the state; it starts anew behind it");
    if snapshots.newest().map(|newest| newest.manifest().last_log_id) < Some(applied) {
        snapshot_now(machine, snapshots).await.map_err(failed("take a snapshot of the state"))?;
    }
    log.restart_behind(applied).await.map_err(failed("start the log anew"))
}

async fn snapshot_now(machine: &StateMachine, snapshots: &Arc<Snapshots>) -> io::Result<()> {
    let generation = machine.parts().live.get();
    SnapshotBuilder::start(Arc::clone(snapshots), generation).await.build().await.map(drop)
}

fn failed(attempted: &'static str) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Disk { attempted, source }
}
