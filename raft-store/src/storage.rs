//! Opening a data directory: who it belongs to, what a crash has left, and whether it may go on from there.
//!
//! ```text
//! identity                 whose directory this is
//! log/                     the log engine; its lock is the directory's
//! state/                   the live database, see generation.rs
//! snapshots/               see snapshot.rs
//! ```

use std::{io, sync::Arc};

use bytes::Bytes;
use capstan_model::ids::{DiskId, NodeId};

use crate::{
    engine::{Disk, EngineKind, Health, LatchedDisk, Space},
    generation::{self, Found},
    identity::{self, Identity, IdentityFile},
    log::{LogMeter, LogStore},
    machine::{Checksums, Live, Parts, StateMachine, load},
    ports::FatalSink,
    runtime,
    snapshot::{SnapshotBuilder, SnapshotReceiver, Snapshots},
};

/// The log engine's folder.
pub(crate) const LOG: &str = "log";

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
    /// Some of the data is there and some is not.
    #[error("the data directory was used and is incomplete: {missing} is missing")]
    Incomplete {
        /// What is missing.
        missing: &'static str,
    },
    /// Entries are gone that this node had told others were safe; going on could lose what the cluster promised.
    #[error(
        "the log ends at {last:?}, but had been written to disk up to {flushed}: the disk has lost acknowledged entries"
    )]
    LogLost {
        /// Where the log ends.
        last: Option<u64>,
        /// How far it was known to be durable.
        flushed: u64,
    },
    /// The log's front was removed further than state and snapshots go.
    #[error(
        "the log was purged up to {purged}, but the state ends at {applied:?} and no snapshot goes further"
    )]
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

/// Who opens a data directory.
pub(crate) struct Opening {
    /// The node that it must belong to.
    pub(crate) node: NodeId,
    /// The id of the disk, if it is a new one.
    pub(crate) new_disk: DiskId,
    /// Told when a write fails later.
    pub(crate) fatal: Arc<dyn FatalSink>,
}

/// An open data directory: what openraft is given, and what stays with the node.
pub(crate) struct Opened {
    pub(crate) log: LogStore,
    pub(crate) machine: StateMachine,
    pub(crate) store: Store,
}

/// What the node needs of its data directory beside openraft. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    disk: Arc<dyn Disk>,
    identity: Arc<IdentityFile>,
    snapshots: Arc<Snapshots>,
    checksums: Arc<Checksums>,
    live: Arc<Live>,
    meter: Arc<LogMeter>,
}

impl Store {
    /// Whose directory this is, and its life.
    pub(crate) fn identity(&self) -> &IdentityFile {
        &self.identity
    }

    /// Checksums of the live rows at the newest indexes divisible by 1,024, oldest first.
    pub(crate) fn checksums(&self) -> Vec<(u64, u128)> {
        self.checksums.all()
    }

    /// Counts the bytes of log appended.
    pub(crate) fn meter(&self) -> Arc<LogMeter> {
        Arc::clone(&self.meter)
    }

    /// How much room the disk has.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }

    /// Flushes the state engine beside apply, so that the snapshot asked for next holds apply up only briefly.
    ///
    /// # Errors
    /// The disk failed or is full.
    pub(crate) async fn prepare_snapshot(&self) -> io::Result<()> {
        let live = self.live.get();
        runtime::spawn_blocking(move || live.engine().flush()).await.flatten()
    }

    /// Starts to receive a snapshot from another node.
    ///
    /// # Errors
    /// The manifest is damaged or of an unknown version, or the disk failed.
    pub(crate) fn receive_snapshot(&self, manifest: &Bytes) -> io::Result<SnapshotReceiver> {
        self.snapshots.receive(manifest)
    }
}

/// Opens a data directory, or makes a new one, and starts a new life of its node.
///
/// # Errors
/// See [`OpenError`].
pub(crate) async fn open(disk: Arc<dyn Disk>, opening: Opening) -> Result<Opened, OpenError> {
    let health = Health::new(opening.fatal);
    let disk: Arc<dyn Disk> = Arc::new(LatchedDisk::new(disk, health.clone()));
    let log_engine = disk.open_engine(LOG, EngineKind::Log).map_err(|error| match error.kind() {
        io::ErrorKind::ResourceBusy => OpenError::InUse(error),
        _ => OpenError::Disk { attempted: "open the log", source: error },
    })?;
    let known = identity::read(&*disk).map_err(failed("read the identity"))?;
    if let Some(known) = known
        && known.node != opening.node
    {
        return Err(OpenError::OtherNode { found: known.node, wanted: opening.node });
    }
    let snapshots = Arc::new(Snapshots::open(Arc::clone(&disk)).map_err(failed("open the snapshots"))?);
    let log = LogStore::open(log_engine, snapshots.durable()).await.map_err(failed("read the log"))?;
    if known.is_some_and(|known| known.cluster.is_some()) && log.is_untouched() {
        // Who has met a cluster has voted or been sent entries. With an empty log and an empty vote it could do either again.
        return Err(OpenError::Incomplete { missing: "the log" });
    }
    if known.is_none() && !log.is_untouched() {
        return Err(OpenError::Incomplete { missing: "the file that says whose it is" });
    }
    let machine = open_machine(&disk, &log, &snapshots, health).await?;

    let new = Identity { cluster: None, node: opening.node, disk: opening.new_disk, boot: 0 };
    let identity = IdentityFile::new(Arc::clone(&disk), known.unwrap_or(new));
    identity.raise_boot().map_err(failed("raise the boot count"))?;
    let parts = machine.parts();
    let store = Store {
        disk,
        identity: Arc::new(identity),
        snapshots,
        checksums: Arc::clone(&parts.checksums),
        live: Arc::clone(&parts.live),
        meter: log.meter(),
    };
    Ok(Opened { log, machine, store })
}

async fn open_machine(
    disk: &Arc<dyn Disk>,
    log: &LogStore,
    snapshots: &Arc<Snapshots>,
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
        checksums: Arc::default(),
        live: Arc::new(Live::new(Arc::clone(&generation))),
        health,
        sink: Arc::new(()),
    };
    check_flushed(log, flushed)?;
    let mut machine = StateMachine::new(generation, loaded, parts);
    finish_install(&mut machine, snapshots).await.map_err(failed("install the newest snapshot"))?;
    reconcile(log, &mut machine, snapshots).await?;
    #[cfg(feature = "simulation")]
    crate::witness::saw(&crate::witness::Step::Opened {
        applied: machine.applied().map(crate::witness::position),
        flushed,
        voters: crate::witness::voters(machine.membership()),
    });
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
        Some(newest)
            if Some(newest.manifest().last_log_id) > machine.applied()
                && !capstan_model::mutant!("newer-snapshot-not-installed") =>
        {
            capstan_model::sometimes!("state taken from a snapshot at the start");
            machine.install(newest).await
        }
        _ => Ok(()),
    }
}

/// Brings log and state together. The state may be ahead of the log, because entries are applied once they are written, not
/// once they are durable; or the log may have forgotten that its tail was replaced. Either way the entries it lacks are committed and
/// in the state, and what it has instead is not committed: after the state has a snapshot, the log starts anew behind it.
async fn reconcile(
    log: &LogStore,
    machine: &mut StateMachine,
    snapshots: &Arc<Snapshots>,
) -> Result<(), OpenError> {
    let applied = machine.applied();
    if let Some(purged) = log.purged()
        && applied < Some(purged)
    {
        return Err(OpenError::StateLost { purged: purged.index(), applied: applied.map(|id| id.index()) });
    }
    let Some(applied) = applied else { return Ok(()) };
    if log.contains(applied).map_err(failed("read the log"))?
        || capstan_model::mutant!("log-behind-state-kept")
    {
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

#[cfg(test)]
mod tests;
