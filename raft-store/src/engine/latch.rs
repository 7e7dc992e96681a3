//! After one failed write or sync nothing may be trusted again: every later one fails too, and the node is told to stop.
//!
//! An fsync that failed may have thrown away what it was to write, and a second one reports success (PostgreSQL's
//! "fsyncgate"). So the first failure is kept, and shared by everything that writes to one data directory.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;

use super::{Batch, Direction, Disk, Engine, EngineKind, Row, Space, SyncDone};
use crate::ports::FatalSink;

/// Whether a data directory can still be trusted.
#[derive(Clone)]
pub(crate) struct Health(Arc<Inner>);

struct Inner {
    failure: OnceLock<(io::ErrorKind, String)>,
    sink: Arc<dyn FatalSink>,
}

impl Health {
    pub(crate) fn new(sink: Arc<dyn FatalSink>) -> Self {
        Self(Arc::new(Inner { failure: OnceLock::new(), sink }))
    }

    /// Fails with the first failure, once there was one.
    pub(crate) fn check(&self) -> io::Result<()> {
        match self.0.failure.get() {
            None => Ok(()),
            Some((kind, reason)) => Err(io::Error::new(*kind, reason.clone())),
        }
    }

    /// Runs one write; its failure is the last thing this directory does.
    fn write<T>(&self, what: &str, write: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.check()?;
        write().map_err(|error| self.fail(what, &error))
    }

    /// Latches a failure of `what` and tells the node, once.
    pub(crate) fn fail(&self, what: &str, error: &io::Error) -> io::Error {
        let reason = format!("{what}: {error}");
        if self.0.failure.set((error.kind(), reason.clone())).is_ok() {
            tracing::error!(what, error = %error, "the data directory has failed");
            self.0.sink.fatal(&reason);
        }
        io::Error::new(error.kind(), reason)
    }
}

/// A [`Disk`] under the latch.
pub(crate) struct LatchedDisk {
    disk: Arc<dyn Disk>,
    health: Health,
}

impl LatchedDisk {
    pub(crate) fn new(disk: Arc<dyn Disk>, health: Health) -> Self {
        Self { disk, health }
    }
}

struct LatchedEngine {
    engine: Arc<dyn Engine>,
    health: Health,
}

impl Engine for LatchedEngine {
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        self.engine.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, direction: Direction) -> io::Result<Vec<Row>> {
        self.engine.scan(from, to, limit, direction)
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        self.health.write("write", || self.engine.write(batch))
    }

    fn sync(&self, done: SyncDone) {
        let health = self.health.clone();
        // The engine is asked even when the latch has fallen, so that completions stay in order.
        self.engine.sync(Box::new(move |result| {
            done(match result {
                Ok(()) => health.check(),
                Err(_) if capstan_model::mutant!("sync-error-passed-over") => Ok(()),
                Err(error) => Err(health.fail("sync", &error)),
            });
        }));
    }

    fn flush(&self) -> io::Result<()> {
        self.health.write("flush", || self.engine.flush())
    }

    fn checkpoint(&self, path: &str) -> io::Result<()> {
        self.health.write("checkpoint", || self.engine.checkpoint(path))
    }
}

impl Disk for LatchedDisk {
    fn open_engine(&self, path: &str, kind: EngineKind) -> io::Result<Arc<dyn Engine>> {
        let engine = self.disk.open_engine(path, kind)?;
        Ok(Arc::new(LatchedEngine { engine, health: self.health.clone() }))
    }

    fn read_closed(&self, path: &str, keys: &[&[u8]]) -> io::Result<Vec<Option<Bytes>>> {
        self.disk.read_closed(path, keys)
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.health.write("create a folder", || self.disk.create_dir(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn file_len(&self, path: &str) -> io::Result<u64> {
        self.disk.file_len(path)
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Bytes> {
        self.disk.read(path, offset, len)
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.health.write("write a file", || self.disk.write(path, bytes))
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.health.write("append to a file", || self.disk.append(path, bytes))
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.health.write("sync a file", || self.disk.sync_file(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.health.write("sync a folder", || self.disk.sync_dir(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.health.write("rename", || self.disk.rename(from, to))
    }

    fn share(&self, from: &str, to: &str) -> io::Result<()> {
        self.health.write("link a file", || self.disk.share(from, to))
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.health.write("remove a folder", || self.disk.remove_dir_all(path))
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }
}
