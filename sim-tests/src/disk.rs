//! A simulated disk: what was written is there at once, what was synced survives a power cut, and of the rest some does.
//!
//! `files.rs` holds folders and files, `engine.rs` the key-value stores in them. A [`SimDisk`] outlives the lives of its node;
//! a [`DiskHandle`] belongs to one life and is dead from the moment of the crash, so whatever the dropped tasks still try to
//! write on their way out changes nothing.

mod engine;
mod files;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use capstan_model::mutant;
use capstan_raft_store::engine::{Disk, Engine, EngineKind, Space};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

use self::{engine::SimEngine, files::Files};

/// How a disk behaves beside losing things.
#[derive(Debug, Clone)]
pub struct DiskManner {
    /// The shortest and longest time one sync of an engine takes.
    pub sync: (Duration, Duration),
}

impl Default for DiskManner {
    fn default() -> Self {
        Self { sync: (Duration::from_millis(1), Duration::from_millis(3)) }
    }
}

/// What happens to what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The process was killed: the kernel has all it wrote.
    Process,
    /// The power was cut: some prefix of it survives.
    Power,
}

/// The disk of one node.
pub struct SimDisk {
    state: Mutex<State>,
}

struct State {
    files: Files,
    /// Counts the crashes; handles of an earlier epoch are dead.
    epoch: u64,
    manner: DiskManner,
    /// How many of the next syncs fail.
    failing: u32,
    rng: SmallRng,
}

impl SimDisk {
    /// An empty disk whose losses and latencies follow from the seed.
    pub fn new(seed: u64) -> Arc<Self> {
        let state = State {
            files: Files::new(),
            epoch: 0,
            manner: DiskManner::default(),
            failing: 0,
            rng: SmallRng::seed_from_u64(seed),
        };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// The disk as the present life of its node sees it.
    pub fn handle(self: &Arc<Self>) -> Arc<dyn Disk> {
        Arc::new(DiskHandle { epoch: self.lock().epoch, disk: Arc::clone(self) })
    }

    /// Kills every handle and decides what of the unsynced survives.
    pub fn crash(&self, loss: Loss) {
        let state = &mut *self.lock();
        state.epoch += 1;
        state.failing = 0;
        match loss {
            Loss::Process => state.files.close_engines(),
            Loss::Power => state.files.lose_unsynced(&mut state.rng),
        }
    }

    /// Changes how long syncs take from now on.
    pub fn set_manner(&self, manner: DiskManner) {
        self.lock().manner = manner;
    }

    /// Makes the next sync fail with EIO.
    pub fn fail_next_sync(&self) {
        self.lock().failing = 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
    }
}

impl State {
    fn sync_takes(&mut self) -> Duration {
        let (least, most) = self.manner.sync;
        self.rng.random_range(least..=most)
    }

    /// Whether this sync fails.
    fn sync_result(&mut self) -> io::Result<()> {
        if self.failing == 0 {
            return Ok(());
        }
        self.failing -= 1;
        Err(io::Error::from_raw_os_error(5))
    }
}

/// Whether syncs of files and folders do nothing.
fn keeps_no_files() -> bool {
    mutant!("files-never-durable")
}

/// The disk as one life of its node sees it.
#[derive(Clone)]
struct DiskHandle {
    disk: Arc<SimDisk>,
    epoch: u64,
}

impl DiskHandle {
    fn with<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.disk.lock();
        if state.epoch != self.epoch {
            return Err(io::Error::other("the node of this disk handle has crashed"));
        }
        work(&mut state)
    }
}

impl Disk for DiskHandle {
    fn open_engine(&self, path: &str, _kind: EngineKind) -> io::Result<Arc<dyn Engine>> {
        self.with(|state| state.files.open_engine(path))?;
        Ok(Arc::new(SimEngine::new(self.clone(), path)))
    }

    fn read_closed(&self, path: &str, keys: &[&[u8]]) -> io::Result<Vec<Option<Bytes>>> {
        let rows = self.with(|state| state.files.closed_rows(path))?;
        Ok(keys.iter().map(|key| rows.get(*key).cloned()).collect())
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.with(|state| state.files.create_dir(path))
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.with(|state| state.files.list(path))
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.with(|state| Ok(state.files.exists(path)))
    }

    fn file_len(&self, path: &str) -> io::Result<u64> {
        self.with(|state| Ok(state.files.content(path)?.len() as u64))
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Bytes> {
        self.with(|state| {
            let content = state.files.content(path)?;
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            let to = from.saturating_add(len).min(content.len());
            Ok(Bytes::copy_from_slice(&content[from..to]))
        })
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| state.files.write(path, bytes))
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| state.files.append(path, bytes))
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.with(|state| {
            state.sync_result()?;
            if keeps_no_files() { Ok(()) } else { state.files.sync_file(path) }
        })
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.with(|state| {
            state.sync_result()?;
            if keeps_no_files() { Ok(()) } else { state.files.sync_dir(path) }
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|state| state.files.rename(from, to))
    }

    fn share(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|state| {
            let content = state.files.content(from)?.to_vec();
            state.files.write(to, &content)
        })
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.with(|state| state.files.remove_dir_all(path))
    }

    fn space(&self) -> io::Result<Space> {
        self.with(|_| Ok(Space { free: 1 << 40, total: 1 << 41 }))
    }
}
