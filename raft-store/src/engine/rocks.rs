//! RocksDB on the host's files: the storage of production.
//!
//! The write-ahead log is never switched off and never buffered in user space, so a killed process loses nothing it has written; a
//! power cut loses what was not synced. Recovery stops at the first record it cannot read (`PointInTime`), which is
//! how a torn tail looks; a log that ends too early is found by what the state has recorded of it (`storage.rs`).

use std::{
    io,
    path::Path,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRecoveryMode, Env, InfoLogger, IteratorMode, LogLevel,
    Options, ReadOptions, WriteBatch, checkpoint::Checkpoint,
};

use super::{Batch, Change, Direction, Disk, Engine, EngineKind, Row, Space, SyncDone, files::HostFiles};

/// Blocks of both engines kept in memory, in bytes.
const BLOCK_CACHE_BYTES: usize = 64 << 20;
/// What one engine collects in memory before it writes a file, in bytes.
const WRITE_BUFFER_BYTES: usize = 16 << 20;
/// Lets the kernel write back in steps of this many bytes instead of all at the next sync.
const BYTES_PER_SYNC: u64 = 1 << 20;
/// How many files of the log wait before RocksDB merges them. A log is read from memory and purged in runs: by then most of what
/// the files hold is gone, where the default of 4 rewrites entries that are about to go. Costs up to 256 MiB of disk.
const LOG_FILES_BEFORE_MERGE: i32 = 16;
/// How many unmerged files of the log slow writes down: well above the former, since merging runs behind under load.
const LOG_FILES_BEFORE_SLOWDOWN: i32 = 40;
/// How many stop them.
const LOG_FILES_BEFORE_STOP: i32 = 60;
/// Above this size RocksDB starts a new manifest, in bytes.
const MANIFEST_BYTES_MAX: usize = 16 << 20;

/// A data directory on the host's file system with RocksDB as its engine.
pub struct RocksDisk {
    files: HostFiles,
    env: Env,
    cache: Cache,
}

impl RocksDisk {
    /// Opens the directory, creating it when missing; engines are opened later.
    ///
    /// # Errors
    /// The directory cannot be created or reached.
    pub fn open(root: &Path) -> io::Result<Self> {
        Ok(Self {
            files: HostFiles::open(root)?,
            env: Env::new().map_err(to_io)?,
            cache: Cache::new_lru_cache(BLOCK_CACHE_BYTES),
        })
    }

    fn options(&self, kind: EngineKind) -> Options {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&self.cache);
        let mut options = Options::default();
        options.set_env(&self.env);
        options.create_if_missing(true);
        options.set_paranoid_checks(true);
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        options.set_track_and_verify_wals_in_manifest(true);
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_max_background_jobs(2);
        options.set_bytes_per_sync(BYTES_PER_SYNC);
        options.set_wal_bytes_per_sync(BYTES_PER_SYNC);
        options.set_max_manifest_file_size(MANIFEST_BYTES_MAX);
        match kind {
            EngineKind::Log => {
                options.set_compression_type(DBCompressionType::None);
                options.set_level_zero_file_num_compaction_trigger(LOG_FILES_BEFORE_MERGE);
                options.set_level_zero_slowdown_writes_trigger(LOG_FILES_BEFORE_SLOWDOWN);
                options.set_level_zero_stop_writes_trigger(LOG_FILES_BEFORE_STOP);
            }
            EngineKind::State => {
                blocks.set_bloom_filter(10.0, false);
                options.set_compression_type(DBCompressionType::Lz4);
            }
        }
        options.set_block_based_table_factory(&blocks);
        options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, report));
        options
    }
}

/// Passes on what RocksDB has to say, instead of files of its own beside the data.
fn report(level: LogLevel, message: &str) {
    let message = message.trim_end();
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "capstan::rocksdb", "{message}"),
        LogLevel::Warn => tracing::warn!(target: "capstan::rocksdb", "{message}"),
        LogLevel::Debug | LogLevel::Info | LogLevel::Header => {
            tracing::debug!(target: "capstan::rocksdb", "{message}");
        }
    }
}

impl Disk for RocksDisk {
    fn open_engine(&self, path: &str, kind: EngineKind) -> io::Result<Arc<dyn Engine>> {
        let db = DB::open(&self.options(kind), self.files.path(path)).map_err(to_io)?;
        Ok(Arc::new(RocksEngine::start(Arc::new(db), kind, self.files.path(""))?))
    }

    fn read_closed(&self, path: &str, keys: &[&[u8]]) -> io::Result<Vec<Option<Bytes>>> {
        let folder = self.files.path(path);
        // The library would create it.
        if !folder.try_exists()? {
            return Err(io::ErrorKind::NotFound.into());
        }
        let db = DB::open_for_read_only(&self.options(EngineKind::State), folder, false).map_err(to_io)?;
        keys.iter().map(|key| get(&db, key)).collect()
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.files.create_dir(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.files.list(path)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.files.path(path).try_exists()
    }

    fn file_len(&self, path: &str) -> io::Result<u64> {
        self.files.file_len(path)
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Bytes> {
        self.files.read(path, offset, len)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.write(path, bytes)
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.files.append(path, bytes)
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.files.sync(path)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.files.sync(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }

    /// Table files are never changed once written; the manifest and the write-ahead log are.
    fn share(&self, from: &str, to: &str) -> io::Result<()> {
        if from.ends_with(".sst") { self.files.link(from, to) } else { self.files.copy(from, to) }
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.files.remove_dir_all(path)
    }

    fn space(&self) -> io::Result<Space> {
        self.files.space()
    }
}

/// One open RocksDB and its flusher thread.
struct RocksEngine {
    db: Arc<DB>,
    /// Where relative checkpoint paths start.
    root: std::path::PathBuf,
    /// `None` once the engine is being closed.
    syncs: Option<mpsc::Sender<SyncDone>>,
    flusher: Option<JoinHandle<()>>,
}

impl RocksEngine {
    fn start(db: Arc<DB>, kind: EngineKind, root: std::path::PathBuf) -> io::Result<Self> {
        let (syncs, queue) = mpsc::channel();
        let flushed = Arc::clone(&db);
        let flusher = thread::Builder::new()
            .name(format!("flush-{}", name_of(kind)))
            .spawn(move || flush_until_closed(&flushed, kind, &queue))?;
        Ok(Self { db, root, syncs: Some(syncs), flusher: Some(flusher) })
    }
}

/// Group commit: takes all that is asked for at one moment, syncs the write-ahead log once, and reports in order.
fn flush_until_closed(db: &DB, kind: EngineKind, queue: &mpsc::Receiver<SyncDone>) {
    let name = name_of(kind);
    let fsyncs = metrics::counter!(format!("capstan_{name}_fsyncs_total"));
    let grouped = metrics::counter!(format!("capstan_{name}_fsynced_writes_total"));
    while let Ok(first) = queue.recv() {
        let drained: Vec<SyncDone> = std::iter::once(first).chain(queue.try_iter()).collect();
        let result = db.flush_wal(true).map_err(to_io);
        fsyncs.increment(1);
        grouped.increment(drained.len() as u64);
        for done in drained {
            done(match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
    }
}

fn name_of(kind: EngineKind) -> &'static str {
    match kind {
        EngineKind::Log => "log",
        EngineKind::State => "state",
    }
}

impl Engine for RocksEngine {
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        get(&self.db, key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, direction: Direction) -> io::Result<Vec<Row>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        options.set_iterate_upper_bound(to);
        let mode = match direction {
            Direction::Forward => IteratorMode::Start,
            Direction::Backward => IteratorMode::End,
        };
        let rows = self.db.iterator_opt(mode, options).take(limit);
        rows.map(|row| row.map(|(key, value)| (key.into(), value.into())).map_err(to_io)).collect()
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        let mut changes = WriteBatch::default();
        for change in &batch.changes {
            match change {
                Change::Put(key, value) => changes.put(key, value),
                Change::Delete(key) => changes.delete(key),
                Change::DeleteRange(from, to) => changes.delete_range(from, to),
            }
        }
        self.db.write(changes).map_err(to_io)
    }

    fn sync(&self, done: SyncDone) {
        let syncs = self.syncs.as_ref().expect("an engine in use is not being closed");
        if let Err(mpsc::SendError(done)) = syncs.send(done) {
            done(Err(io::Error::other("the flusher thread is gone")));
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.db.flush().map_err(to_io)
    }

    fn checkpoint(&self, path: &str) -> io::Result<()> {
        let checkpoint = Checkpoint::new(&*self.db).map_err(to_io)?;
        checkpoint.create_checkpoint(self.root.join(path)).map_err(to_io)
    }
}

impl Drop for RocksEngine {
    /// Waits for the flusher, so that the lock on the folder is free when this returns.
    fn drop(&mut self) {
        drop(self.syncs.take());
        if let Some(flusher) = self.flusher.take()
            && flusher.thread().id() != thread::current().id()
            && flusher.join().is_err()
        {
            tracing::error!("the flusher thread panicked");
        }
    }
}

fn get(db: &DB, key: &[u8]) -> io::Result<Option<Bytes>> {
    db.get(key).map(|value| value.map(Bytes::from)).map_err(to_io)
}

/// RocksDB's errors are texts; the kinds that somebody acts on are recognised by them.
fn to_io(error: rocksdb::Error) -> io::Error {
    let text = error.to_string();
    let kind = match error.kind() {
        rocksdb::ErrorKind::Corruption => io::ErrorKind::InvalidData,
        _ if text.contains("No space left on device") => io::ErrorKind::StorageFull,
        rocksdb::ErrorKind::IOError
            if text.contains("lock hold by current process") || text.contains("While lock file") =>
        {
            io::ErrorKind::ResourceBusy
        }
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_where_no_engine_is_leaves_no_folder() {
        let root = tempfile::tempdir().unwrap();
        let disk = RocksDisk::open(root.path()).unwrap();
        assert_eq!(disk.read_closed("db", &[b"a"]).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(!disk.exists("db").unwrap());
    }

    #[test]
    fn a_file_is_not_taken_for_a_folder() {
        let root = tempfile::tempdir().unwrap();
        let disk = RocksDisk::open(root.path()).unwrap();
        disk.write("f", b"x").unwrap();
        assert!(disk.create_dir("f").is_err());
        disk.create_dir("d").unwrap();
        disk.create_dir("d").unwrap();
    }
}
