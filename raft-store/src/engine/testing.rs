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
    /// Every read so far, likewise.
    reads: Vec<String>,
    /// The number of the change from which on nothing reaches the disk, as if the process had been killed.
    stopped_from: Option<usize>,
    fault: Option<Fault>,
    /// Syncs that wait to be let through; `None` when they are not held.
    held: Option<Vec<(Arc<dyn Engine>, SyncDone)>>,
}

/// What goes wrong.
#[derive(Clone, Copy)]
enum Fault {
    /// The changes that start so fail.
    Failing(&'static str),
    /// The changes that start so are reported as done and are not.
    LeftOut(&'static str),
    /// The change of this number fails.
    ChangeFails(usize, Reach),
    /// The read of this number fails.
    ReadFails(usize),
}

/// How much of a change that fails reaches the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Nothing of it.
    Nothing,
    /// All of it: only the answer is an error.
    Everything,
}

/// What becomes of one change.
enum Fate {
    Happens,
    Fails(Reach),
    IsLeftOut,
    /// The disk was stopped before.
    IsTooLate,
}

impl Controls {
    /// What was changed so far, as `operation path`.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.lock().changes.clone()
    }

    /// What was read so far, as `operation path`.
    pub(crate) fn reads(&self) -> Vec<String> {
        self.lock().reads.clone()
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
        self.lock().fault = Some(Fault::Failing(start));
    }

    /// Fails one change, the one after `count` more.
    pub(crate) fn fail_change(&self, count: usize, reach: Reach) {
        let mut state = self.lock();
        state.fault = Some(Fault::ChangeFails(state.changes.len() + count, reach));
    }

    /// Fails one read, the one after `count` more.
    pub(crate) fn fail_read(&self, count: usize) {
        let mut state = self.lock();
        state.fault = Some(Fault::ReadFails(state.reads.len() + count));
    }

    /// Only pretends to do the changes that start so.
    pub(crate) fn leave_out(&self, start: &'static str) {
        self.lock().fault = Some(Fault::LeftOut(start));
    }

    /// From now on everything works.
    pub(crate) fn mend(&self) {
        self.lock().fault = None;
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

    /// Notes a change and says what becomes of it.
    fn fate(&self, what: &str, path: &str) -> Fate {
        let mut state = self.lock();
        let number = state.changes.len();
        let change = format!("{what} {path}");
        let fate = match state.fault {
            _ if state.stopped_from.is_some_and(|from| number >= from) => Fate::IsTooLate,
            Some(Fault::Failing(start)) if change.starts_with(start) => Fate::Fails(Reach::Nothing),
            Some(Fault::LeftOut(start)) if change.starts_with(start) => Fate::IsLeftOut,
            Some(Fault::ChangeFails(at, reach)) if at == number => Fate::Fails(reach),
            _ => Fate::Happens,
        };
        state.changes.push(change);
        fate
    }

    fn change(&self, what: &str, path: &str, work: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        match self.fate(what, path) {
            Fate::Happens => work(),
            Fate::IsLeftOut => Ok(()),
            Fate::Fails(Reach::Nothing) => Err(failure()),
            Fate::Fails(Reach::Everything) => {
                work()?;
                Err(failure())
            }
            Fate::IsTooLate => Err(too_late()),
        }
    }

    fn read<T>(&self, what: &str, path: &str, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        {
            let mut state = self.lock();
            let number = state.reads.len();
            state.reads.push(format!("{what} {path}"));
            if let Some(Fault::ReadFails(at)) = state.fault
                && at == number
            {
                return Err(failure());
            }
        }
        work()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while holding it")
    }
}

/// EIO, what the kernel says when a disk fails.
fn failure() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn too_late() -> io::Error {
    io::Error::other("the disk was stopped")
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
        self.controls.read("get", &self.path, || self.engine.get(key))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, direction: Direction) -> io::Result<Vec<Row>> {
        self.controls.read("scan", &self.path, || self.engine.scan(from, to, limit, direction))
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        self.controls.change("write", &self.path, || self.engine.write(batch))
    }

    fn sync(&self, done: SyncDone) {
        match self.controls.fate("sync", &self.path) {
            Fate::Happens => self.pass_on(done),
            Fate::IsLeftOut => done(Ok(())),
            Fate::Fails(Reach::Nothing) => done(Err(failure())),
            Fate::Fails(Reach::Everything) => self.pass_on(Box::new(move |_| done(Err(failure())))),
            Fate::IsTooLate => done(Err(too_late())),
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.controls.change("flush", &self.path, || self.engine.flush())
    }

    fn checkpoint(&self, path: &str) -> io::Result<()> {
        self.controls.change("checkpoint", path, || self.engine.checkpoint(path))
    }
}

impl TestEngine {
    /// Starts a sync, or keeps it until it is released.
    fn pass_on(&self, done: SyncDone) {
        let mut state = self.controls.lock();
        match &mut state.held {
            Some(held) => held.push((Arc::clone(&self.engine), done)),
            None => {
                drop(state);
                self.engine.sync(done);
            }
        }
    }
}

impl Disk for TestDisk {
    fn open_engine(&self, path: &str, kind: EngineKind) -> io::Result<Arc<dyn Engine>> {
        let mut opened = None;
        self.controls.change("open", path, || {
            opened = Some(self.disk.open_engine(path, kind)?);
            Ok(())
        })?;
        let engine = opened.expect("an opening is never left out");
        Ok(Arc::new(TestEngine { engine, path: path.to_owned(), controls: self.controls.clone() }))
    }

    fn read_closed(&self, path: &str, keys: &[&[u8]]) -> io::Result<Vec<Option<Bytes>>> {
        self.controls.read("read_closed", path, || self.disk.read_closed(path, keys))
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.controls.change("create_dir", path, || self.disk.create_dir(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.controls.read("list", path, || self.disk.list(path))
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.controls.read("exists", path, || self.disk.exists(path))
    }

    fn file_len(&self, path: &str) -> io::Result<u64> {
        self.controls.read("file_len", path, || self.disk.file_len(path))
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Bytes> {
        self.controls.read("read", path, || self.disk.read(path, offset, len))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.controls.change("write_file", path, || self.disk.write(path, bytes))
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.controls.change("append_file", path, || self.disk.append(path, bytes))
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.controls.change("sync_file", path, || self.disk.sync_file(path))
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.controls.change("sync_dir", path, || self.disk.sync_dir(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.controls.change("rename", &format!("{from} {to}"), || self.disk.rename(from, to))
    }

    fn share(&self, from: &str, to: &str) -> io::Result<()> {
        self.controls.change("share", &format!("{from} {to}"), || self.disk.share(from, to))
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.controls.change("remove_dir", path, || self.disk.remove_dir_all(path))
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }
}
