//! The storage seam: what the store asks of one data directory.
//!
//! [`Disk`] is the directory, [`Engine`] one ordered key-value store in it. `rocks.rs` is RocksDB on the host's files; the
//! simulator brings its own. Everything returns at once but [`Engine::sync`], whose completion comes later, so a
//! simulated disk needs no threads.
//!
//! Two words matter. *Visible*: later reads see it. *Durable*: it survives a power cut.

mod files;
mod latch;
mod rocks;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
pub(crate) mod volatile;

use std::{io, sync::Arc};

use bytes::Bytes;

pub(crate) use self::latch::{Health, LatchedDisk};
pub use self::rocks::RocksDisk;
pub use crate::disk_space::Space;

/// What an engine is used for, which decides how it is tuned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// Log entries and the vote: appended, synced all the time, removed from the front.
    Log,
    /// The rows of the state machine: point reads, ranges and checkpoints, seldom synced.
    State,
}

/// Which end of a range a scan starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the smallest key.
    Forward,
    /// From the largest key.
    Backward,
}

/// A row: key and value.
pub type Row = (Bytes, Bytes);

/// Told once how a sync ended.
pub type SyncDone = Box<dyn FnOnce(io::Result<()>) + Send>;

/// One change of a [`Batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key has this value.
    Put(Bytes, Bytes),
    /// The key is gone.
    Delete(Bytes),
    /// Every key with `from <= key < to` is gone.
    DeleteRange(Bytes, Bytes),
}

/// Changes that become visible together and survive a crash together or not at all; later ones win.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The changes, in the order they take effect.
    pub changes: Vec<Change>,
}

impl Batch {
    /// Adds a row.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.changes.push(Change::Put(key.into(), value.into()));
    }

    /// Removes a row.
    pub fn delete(&mut self, key: impl Into<Bytes>) {
        self.changes.push(Change::Delete(key.into()));
    }

    /// Removes every row with `from <= key < to`.
    pub fn delete_range(&mut self, from: impl Into<Bytes>, to: impl Into<Bytes>) {
        self.changes.push(Change::DeleteRange(from.into(), to.into()));
    }
}

/// An ordered key-value store. Dropping the last handle closes it.
pub trait Engine: Send + Sync + 'static {
    /// Reads one value.
    ///
    /// # Errors
    /// The disk failed, or what it holds is corrupt.
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>>;

    /// Reads at most `limit` rows with `from <= key < to` as they are at this moment, starting at the end that `direction` names.
    ///
    /// # Errors
    /// The disk failed, or what it holds is corrupt.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize, direction: Direction) -> io::Result<Vec<Row>>;

    /// Makes a batch visible, atomically. It is durable only after a [`Engine::sync`] that was asked for later; after a
    /// crash before that, some prefix of the batches is there.
    ///
    /// # Errors
    /// The disk failed or is full; how much of the batch is durable is unknown.
    fn write(&self, batch: Batch) -> io::Result<()>;

    /// Asks that everything written before this call become durable. `done` runs exactly once, later or at once, and the calls'
    /// `done`s run in the order of the calls.
    fn sync(&self, done: SyncDone);

    /// Moves what is only in memory and in the write-ahead log into files of its own, so that the next checkpoint has little
    /// to do. Blocks.
    ///
    /// # Errors
    /// The disk failed or is full.
    fn flush(&self) -> io::Result<()>;

    /// Writes a consistent copy of what is visible now to a new folder of the same [`Disk`]; its parent exists. The copy is durable only
    /// once its files and folder were synced. Blocks.
    ///
    /// # Errors
    /// The disk failed or is full, or the folder exists.
    fn checkpoint(&self, path: &str) -> io::Result<()>;
}

/// One data directory. Paths are relative to it and use `/`.
///
/// What is written to a file is durable after [`Disk::sync_file`]; what exists under which name, after [`Disk::sync_dir`] of the folder.
pub trait Disk: Send + Sync + 'static {
    /// Opens an engine in a folder, creating both when missing. Blocks.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] when it is open already, here or in another process; otherwise the disk failed or is corrupt.
    fn open_engine(&self, path: &str, kind: EngineKind) -> io::Result<Arc<dyn Engine>>;

    /// Reads values from a closed engine's folder, a checkpoint for instance, without changing a file of it. Blocks.
    ///
    /// # Errors
    /// The folder holds no engine, or the disk failed or is corrupt.
    fn read_closed(&self, path: &str, keys: &[&[u8]]) -> io::Result<Vec<Option<Bytes>>>;

    /// Creates a folder whose parent exists; nothing happens when it exists.
    ///
    /// # Errors
    /// The disk failed or is full.
    fn create_dir(&self, path: &str) -> io::Result<()>;

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is no such folder; otherwise the disk failed.
    fn list(&self, path: &str) -> io::Result<Vec<String>>;

    /// Whether a file or folder exists.
    ///
    /// # Errors
    /// The disk failed.
    fn exists(&self, path: &str) -> io::Result<bool>;

    /// The length of a file in bytes.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is no such file; otherwise the disk failed.
    fn file_len(&self, path: &str) -> io::Result<u64>;

    /// Reads up to `len` bytes of a file; fewer only at its end.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] when there is no such file; otherwise the disk failed.
    fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Bytes>;

    /// Makes `bytes` the whole content of a file, creating it when missing.
    ///
    /// # Errors
    /// The disk failed or is full.
    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Appends to a file, creating it when missing.
    ///
    /// # Errors
    /// The disk failed or is full.
    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()>;

    /// Makes a file's content durable.
    ///
    /// # Errors
    /// The disk failed: what the file holds after a crash is unknown.
    fn sync_file(&self, path: &str) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The disk failed: which names are there after a crash is unknown.
    fn sync_dir(&self, path: &str) -> io::Result<()>;

    /// Gives a file or folder another name, atomically; a file of that name is replaced.
    ///
    /// # Errors
    /// The disk failed.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Makes the file `to` equal to `from`, a file of a closed engine. Files that engines never change once they are written may be shared
    /// (a hard link), all others are copied.
    ///
    /// # Errors
    /// The disk failed or is full.
    fn share(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a folder with all that is in it; nothing happens when there is none.
    ///
    /// # Errors
    /// The disk failed.
    fn remove_dir_all(&self, path: &str) -> io::Result<()>;

    /// How much room the file system has.
    ///
    /// # Errors
    /// The disk failed.
    fn space(&self) -> io::Result<Space>;
}

/// Writes a small file so that after a crash it holds either what it held before or all of `bytes`.
///
/// # Errors
/// The disk failed or is full.
pub(crate) fn replace_file(disk: &dyn Disk, folder: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let path = join(folder, name);
    let fresh = format!("{path}.new");
    disk.write(&fresh, bytes)?;
    disk.sync_file(&fresh)?;
    disk.rename(&fresh, &path)?;
    disk.sync_dir(folder)
}

/// Reads a whole small file.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] when there is no such file; otherwise the disk failed.
pub(crate) fn read_file(disk: &dyn Disk, path: &str) -> io::Result<Bytes> {
    let len = usize::try_from(disk.file_len(path)?).expect("small files fit the address space");
    disk.read(path, 0, len)
}

/// The path of a name in a folder; the empty folder is the data directory itself.
pub(crate) fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}
