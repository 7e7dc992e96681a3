//! Snapshots: folders that hold a checkpoint of the state engine and a manifest with a hash for each file.
//!
//! ```text
//! snapshots/<index>-<number>/manifest    kept; at most two, and those being sent
//! snapshots/<index>-<number>/db/...
//! snapshots/building-<number>/           not yet offered; removed at the next start
//! snapshots/receiving-<number>/
//! snapshots/received-<number>/           complete and checked, waiting for openraft to install it
//! snapshots/removing-<number>/           no longer kept
//! ```
//!
//! A folder is given its final name only when all in it is durable, so what has such a name is complete. An installed
//! snapshot stays as it came: the live database is built beside it, because openraft may send it on or install it again.

mod build;
mod manifest;
mod receive;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use capstan_model::failpoint;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use self::manifest::SnapshotFile;
pub(crate) use self::{build::SnapshotBuilder, manifest::Manifest, receive::SnapshotReceiver};
use crate::engine::{Disk, join, read_file};

/// The folder of all snapshots.
const FOLDER: &str = "snapshots";
/// The engine's folder in a snapshot's.
const DB: &str = "db";
/// The manifest in a snapshot's folder.
const MANIFEST: &str = "manifest";
/// How many snapshots are kept beside those that are being sent.
const KEPT_MAX: usize = 2;

/// A snapshot, as openraft passes it around. Holding it keeps its files.
pub(crate) type SnapshotHandle = Arc<SnapshotDir>;

/// Up to which index a durable snapshot holds everything, so that the log before it may go.
#[derive(Debug, Default)]
pub(crate) struct DurableSnapshot {
    /// The first index that is in no snapshot.
    end: AtomicU64,
}

impl DurableSnapshot {
    pub(crate) fn covers(&self, index: u64) -> bool {
        index < self.end.load(Ordering::Acquire)
    }

    pub(crate) fn raise(&self, index: u64) {
        self.end.fetch_max(index.saturating_add(1), Ordering::AcqRel);
    }
}

/// A complete snapshot on this node's disk.
pub(crate) struct SnapshotDir {
    disk: Arc<dyn Disk>,
    path: String,
    manifest: Manifest,
    /// Counts snapshots of this node's life.
    number: u64,
    /// Set while nobody but the holder knows of it.
    is_temporary: AtomicBool,
}

impl SnapshotDir {
    fn new(disk: Arc<dyn Disk>, path: String, manifest: Manifest, number: u64) -> Self {
        Self { disk, path, manifest, number, is_temporary: AtomicBool::new(false) }
    }

    /// A number that names a transfer of this snapshot among those from this node.
    pub(crate) fn transfer_id(&self) -> u64 {
        self.number
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest as it is stored and sent.
    pub(crate) fn manifest_bytes(&self) -> Bytes {
        self.manifest.encode()
    }

    /// Number and length, in bytes, of each file.
    pub(crate) fn files(&self) -> impl Iterator<Item = (u32, u64)> + Send + '_ {
        (0..).zip(&self.manifest.files).map(|(number, file)| (number, file.len))
    }

    /// Reads up to `len` bytes of a file; fewer only at its end.
    ///
    /// # Errors
    /// There is no such file, or the disk failed.
    pub(crate) fn read(&self, file: u32, offset: u64, len: usize) -> io::Result<Bytes> {
        let file = self.manifest.files.get(file as usize).ok_or(io::ErrorKind::NotFound)?;
        self.disk.read(&join(&self.db(), &file.name), offset, len)
    }

    /// The folder of its engine.
    pub(crate) fn db(&self) -> String {
        join(&self.path, DB)
    }

    /// Reads all of it and compares it with the manifest.
    ///
    /// # Errors
    /// A file is not what it was, or the disk failed.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.manifest.check_files(&*self.disk, &self.db())
    }
}

impl Drop for SnapshotDir {
    fn drop(&mut self) {
        if self.is_temporary.load(Ordering::Acquire)
            && let Err(error) = self.disk.remove_dir_all(&self.path)
        {
            tracing::warn!(path = self.path, %error, "a snapshot that was not installed could not be removed");
        }
    }
}

impl std::fmt::Debug for SnapshotDir {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotDir").field("path", &self.path).finish_non_exhaustive()
    }
}

/// All snapshots of one data directory.
pub(crate) struct Snapshots {
    disk: Arc<dyn Disk>,
    /// Complete ones, oldest first.
    kept: Mutex<Vec<SnapshotHandle>>,
    durable: Arc<DurableSnapshot>,
    next_number: AtomicU64,
}

impl Snapshots {
    /// Finds the complete snapshots, makes their names durable, and removes what a crash has left of others.
    ///
    /// # Errors
    /// The disk failed, or a complete snapshot is damaged: what it covers may have left the log.
    pub(crate) fn open(disk: Arc<dyn Disk>) -> io::Result<Self> {
        disk.create_dir(FOLDER)?;
        disk.sync_dir("")?;
        // A life that was killed may have given or taken a name without making that durable.
        disk.sync_dir(FOLDER)?;
        let mut kept = Vec::new();
        let mut next_number = 0;
        for name in disk.list(FOLDER)? {
            let path = join(FOLDER, &name);
            match name.split_once('-').map(|(head, number)| (head.parse::<u64>(), number.parse::<u64>())) {
                Some((Ok(_), Ok(number))) => {
                    let manifest = Manifest::decode(&read_file(&*disk, &join(&path, MANIFEST))?)?;
                    manifest.check_lengths(&*disk, &join(&path, DB))?;
                    kept.push(Arc::new(SnapshotDir::new(Arc::clone(&disk), path, manifest, number)));
                    next_number = next_number.max(number + 1);
                }
                _ => disk.remove_dir_all(&path)?,
            }
        }
        let snapshots = Self {
            disk,
            kept: Mutex::new(Vec::new()),
            durable: Arc::default(),
            next_number: AtomicU64::new(next_number),
        };
        kept.into_iter().for_each(|snapshot| snapshots.keep(snapshot));
        snapshots.remove_old()?;
        Ok(snapshots)
    }

    /// Up to which index the newest one goes.
    pub(crate) fn durable(&self) -> Arc<DurableSnapshot> {
        Arc::clone(&self.durable)
    }

    /// The one that goes furthest.
    pub(crate) fn newest(&self) -> Option<SnapshotHandle> {
        let kept = self.lock();
        if capstan_model::mutant!("oldest-snapshot-taken") {
            kept.first().cloned()
        } else {
            kept.last().cloned()
        }
    }

    /// Starts to receive one from another node.
    ///
    /// # Errors
    /// The manifest is damaged or of an unknown version, or the disk failed.
    pub(crate) fn receive(&self, manifest: &Bytes) -> io::Result<SnapshotReceiver> {
        SnapshotReceiver::new(Arc::clone(&self.disk), manifest, self.number())
    }

    /// Keeps a received snapshot that openraft has decided to install and that was found right: gives it its final name and
    /// offers it. Nothing happens to one that is kept already.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn adopt(&self, snapshot: &SnapshotHandle) -> io::Result<()> {
        if self.lock().iter().any(|kept| Arc::ptr_eq(kept, snapshot)) {
            return Ok(());
        }
        self.offer(&snapshot.path, snapshot.manifest.clone(), snapshot.number)?;
        snapshot.is_temporary.store(false, Ordering::Release);
        Ok(())
    }

    fn number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Gives a complete and durable folder its final name and offers it; a snapshot too many is removed.
    fn offer(&self, path: &str, manifest: Manifest, number: u64) -> io::Result<SnapshotHandle> {
        let kept = join(FOLDER, &format!("{:020}-{number:06}", manifest.last_log_id.index()));
        failpoint!("snapshot: not named");
        self.disk.rename(path, &kept)?;
        failpoint!("snapshot: name not durable");
        self.disk.sync_dir(FOLDER)?;
        let snapshot = Arc::new(SnapshotDir::new(Arc::clone(&self.disk), kept, manifest, number));
        self.keep(Arc::clone(&snapshot));
        self.remove_old()?;
        Ok(snapshot)
    }

    fn keep(&self, snapshot: SnapshotHandle) {
        #[cfg(feature = "simulation")]
        crate::witness::saw(&crate::witness::Step::SnapshotKept {
            at: crate::witness::position(snapshot.manifest.last_log_id),
            checksum: snapshot.manifest.checksum,
        });
        self.durable.raise(snapshot.manifest.last_log_id.index());
        let mut kept = self.lock();
        kept.push(snapshot);
        kept.sort_by_key(|snapshot| (snapshot.manifest.last_log_id, snapshot.number));
    }

    /// Removes all but the newest [`KEPT_MAX`]; one that is being sent stays until the next time.
    fn remove_old(&self) -> io::Result<()> {
        let mut kept = self.lock();
        let old = kept.len().saturating_sub(KEPT_MAX);
        let (removed, pinned): (Vec<_>, Vec<_>) =
            kept.drain(..old).partition(|snapshot| Arc::strong_count(snapshot) == 1);
        kept.splice(0..0, pinned);
        removed.iter().try_for_each(|snapshot| self.remove(snapshot))
    }

    /// Takes the final name away before anything inside goes: what has such a name is complete, also after a crash in the middle.
    fn remove(&self, snapshot: &SnapshotDir) -> io::Result<()> {
        let doomed = join(FOLDER, &format!("removing-{:06}", snapshot.number));
        self.disk.rename(&snapshot.path, &doomed)?;
        self.disk.sync_dir(FOLDER)?;
        failpoint!("snapshot: not removed");
        self.disk.remove_dir_all(&doomed)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<SnapshotHandle>> {
        self.kept.lock().expect("nothing panics while holding it")
    }
}

/// Makes all of a snapshot's folder durable: files first, then the folders that name them.
fn sync_all(disk: &dyn Disk, path: &str, manifest: &Manifest) -> io::Result<()> {
    let db = join(path, DB);
    for file in &manifest.files {
        disk.sync_file(&join(&db, &file.name))?;
    }
    disk.sync_dir(&db)?;
    let manifest_path = join(path, MANIFEST);
    disk.write(&manifest_path, &manifest.encode())?;
    disk.sync_file(&manifest_path)?;
    disk.sync_dir(path)
}
