//! A disk for tests that can be watched, stopped dead at any operation, and made to fail.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use super::{Batch, Direction, Disk, Engine, EngineKind, Row, Space, SyncDone};

/// What a [`TestDisk`] does at its next operations; shared with the test.
#[derive(Clone, Default)]
pub(crate) struct Controls(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Every change so far, as `operation path`.
    changes: Vec<String>,
    /// The number of the change from which on nothing reaches the disk, as if the process had been killed.
    stopped_from: Option<usize>,
    /// The start of the changes that fail.
    failing: Option<&'static str>,
    /// Syncs that wait to be let through; `None` when they are not held.
    held: Option<Vec<(Arc<dyn Engine>, SyncDone)>>,
}

impl Controls {
    /// What was changed so far, as `operation path`.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.lock().changes.clone()
    }

    /// Lets `count` more changes through and none after them.
    pub(crate) fn stop_after(&self, count: usize) {
        let mut state = self.lock();
        state.stopped_from = Some(state.changes.len() + count);
    }

    /// Whether a change was held back by [`Controls::stop_after`].
    pub(crate) fn has_stopped(&self) -> bool {
        let state = self.lock();
        state.stopped_from.is_some_and(|from| state.changes.len() > from)
    }

    /// Fails every change that starts so.
    pub(crate) fn fail(&self, start: &'static str) {
        self.lock().failing = Some(start);
    }

    /// Keeps engines' syncs from starting.
    pub(crate) fn hold_syncs(&self) {
        self.lock().held = Some(Vec::new());
    }

    /// Lets the syncs through that were held, and all after them.
    pub(crate) fn release_syncs(&self) {
        let held = self.lock().held.take().unwrap_or_default();
        for (engine, done) in held {
            engine.sync(done);
        }
    }

    fn change(&self, what: &str, path: &str) -> io::Result<()> {
        let mut state = self.lock();
        let change = format!("{what} {path}");
        let fails = state.failing.is_some_and(|start| change.starts_with(start));
        state.changes.push(change);
        if state.stopped_from.is_some_and(|from| state.changes.len() > from) {
            return Err(io::Error::other("the disk was stopped"));
        }
        if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while holding it")
    }
}

/// Passes everything on to another disk, as its controls say.
pub(crate) struct TestDisk {
    disk: Arc<dyn Disk>,
    controls: Controls,
}

impl TestDisk {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> (Arc<Self>, Controls) {
        let controls = Controls::default();
        (Arc::new(Self { disk, controls: controls.clone() }), controls)
    }
}

struct TestEngine {
    engine: Arc<dyn Engine>,
    path: String,
    controls: Controls,
}

impl Engine for TestEngine {
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        self.engine.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, direction: Direction) -> io::Result<Vec<Row>> {
        self.engine.scan(from, to, limit, direction)
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        self.controls.change("write", &self.path)?;
        self.engine.write(batch)
    }

    fn sync(&self, done: SyncDone) {
        if let Err(error) = self.controls.change("sync", &self.path) {
            return done(Err(error));
        }
        let mut state = self.controls.lock();
        match &mut state.held {
            Some(held) => held.push((Arc::clone(&self.engine), done)),
            None => {
                drop(state);
                self.engine.sync(done);
            }
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.controls.change("flush", &self.path)?;
        self.engine.flush()
    }

    fn checkpoint(&self, path: &str) -> io::Result<()> {
        self.controls.change("checkpoint", path)?;
        self.engine.checkpoint(path)
    }
}

impl Disk for TestDisk {
    fn open_engine(&self, path: &str, kind: EngineKind) -> io::Result<Arc<dyn Engine>> {
        self.controls.change("open", path)?;
        let engine = self.disk.open_engine(path, kind)?;
        Ok(Arc::new(TestEngine { engine, path: path.to_owned(), controls: self.controls.clone() }))
    }

    fn read_closed(&self, path: &str, keys: &[&[u8]]) -> io::Result<Vec<Option<Bytes>>> {
        self.disk.read_closed(path, keys)
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.controls.change("create_dir", path)?;
        self.disk.create_dir(path)
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
        self.controls.change("write_file", path)?;
        self.disk.write(path, bytes)
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.controls.change("append_file", path)?;
        self.disk.append(path, bytes)
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.controls.change("sync_file", path)?;
        self.disk.sync_file(path)
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.controls.change("sync_dir", path)?;
        self.disk.sync_dir(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.controls.change("rename", &format!("{from} {to}"))?;
        self.disk.rename(from, to)
    }

    fn share(&self, from: &str, to: &str) -> io::Result<()> {
        self.controls.change("share", &format!("{from} {to}"))?;
        self.disk.share(from, to)
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.controls.change("remove_dir", path)?;
        self.disk.remove_dir_all(path)
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }
}
