//! A simulated disk: what was written is there at once, what was synced survives a power cut, and of the rest some does.
//!
//! `files.rs` holds folders and files, `engine.rs` the key-value stores in them; `ills.rs` is what fails, `damage.rs` what is not what it was. A [`SimDisk`] outlives the lives of its node;
//! a [`DiskHandle`] belongs to one life and is dead from the moment of the crash, so whatever the dropped tasks still try to
//! write on their way out changes nothing.

mod damage;
mod engine;
mod files;
mod ills;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use capstan_model::mutant;
use capstan_raft_store::engine::{Disk, Engine, EngineKind, Space};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::sync::Notify;

pub(crate) use self::damage::flipped;
pub use self::{
    damage::{DiskCopy, Flips},
    ills::{DiskManner, Once},
};
use self::{engine::SimEngine, files::Files, ills::Ills};

/// What happens to what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The process was killed: the kernel has all it wrote.
    Process,
    /// The power was cut: some prefix of it survives.
    Power,
}

/// How much there is on a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Rows in engines.
    pub rows: usize,
    /// Folders and files that have a name.
    pub files: usize,
    /// Bytes in files.
    pub bytes: usize,
}

/// The disk of one node.
pub struct SimDisk {
    state: Mutex<State>,
    /// Told when syncs take another time.
    manner_changed: Notify,
}

struct State {
    files: Files,
    /// Counts the crashes; handles of an earlier epoch are dead.
    epoch: u64,
    ills: Ills,
    rng: SmallRng,
}

impl SimDisk {
    /// An empty disk whose losses and latencies follow from the seed.
    pub fn new(seed: u64) -> Arc<Self> {
        let state = State {
            files: Files::new(),
            epoch: 0,
            ills: Ills::default(),
            rng: SmallRng::seed_from_u64(seed),
        };
        Arc::new(Self { state: Mutex::new(state), manner_changed: Notify::new() })
    }

    /// The disk as the present life of its node sees it.
    pub fn handle(self: &Arc<Self>) -> Arc<dyn Disk> {
        Arc::new(DiskHandle { epoch: self.lock().epoch, disk: Arc::clone(self) })
    }

    /// Kills every handle and decides what of the unsynced survives.
    pub fn crash(&self, loss: Loss) {
        let state = &mut *self.lock();
        state.epoch += 1;
        state.ills.new_life();
        match loss {
            Loss::Process => state.files.close_engines(),
            Loss::Power => state.files.lose_unsynced(&mut state.rng),
        }
    }

    /// Changes how long syncs take, those under way included.
    pub fn set_manner(&self, manner: DiskManner) {
        self.lock().ills.manner = manner;
        self.manner_changed.notify_waiters();
    }

    /// The row of the engine in a folder that a loss of power would leave; `None` also when there is no such engine.
    pub fn durable_row(&self, path: &str, key: &[u8]) -> Option<Bytes> {
        self.lock().files.store(path).ok()?.durable_row(key)
    }

    /// How much there is on it.
    pub fn usage(&self) -> Usage {
        self.lock().files.usage()
    }

    /// Makes the next sync, write or read fail with EIO.
    pub fn fail_next(&self, once: Once) {
        self.lock().ills.next_fails.push(once);
    }

    /// Leaves room for so many bytes, or plenty.
    pub fn set_room(&self, bytes: Option<u64>) {
        self.lock().ills.room = bytes;
    }

    /// Lets nothing be changed, or everything.
    pub fn set_read_only(&self, is_read_only: bool) {
        self.lock().ills.is_read_only = is_read_only;
    }

    /// Nothing fails any more. What is damaged stays so.
    pub fn heal(&self) {
        self.lock().ills.heal();
        self.manner_changed.notify_waiters();
    }

    /// Whether the present life of the node has seen a failure.
    pub fn is_hurt(&self) -> bool {
        self.lock().ills.is_hurt()
    }

    /// Whether a node went on changing things after that had failed once; tells it once.
    pub fn take_trusted_again(&self) -> bool {
        self.lock().ills.take_trusted_again()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while holding it")
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
        self.with(|state| {
            state.ills.change()?;
            state.files.open_engine(path)
        })?;
        Ok(Arc::new(SimEngine::new(self.clone(), path)))
    }

    fn read_closed(&self, path: &str, keys: &[&[u8]]) -> io::Result<Vec<Option<Bytes>>> {
        let rows = self.with(|state| {
            state.ills.read()?;
            state.files.closed_rows(path)
        })?;
        Ok(keys.iter().map(|key| rows.get(*key).cloned()).collect())
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.with(|state| {
            state.ills.change()?;
            state.files.create_dir(path)
        })
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
            state.ills.read()?;
            let content = state.files.content(path)?;
            let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
            let to = from.saturating_add(len).min(content.len());
            Ok(Bytes::copy_from_slice(&content[from..to]))
        })
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| {
            state.ills.write(bytes.len())?;
            state.files.write(path, bytes)
        })
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.with(|state| {
            state.ills.write(bytes.len())?;
            state.files.append(path, bytes)
        })
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.with(|state| {
            state.ills.sync()?;
            if keeps_no_files() { Ok(()) } else { state.files.sync_file(path) }
        })
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.with(|state| {
            state.ills.sync()?;
            if keeps_no_files() { Ok(()) } else { state.files.sync_dir(path) }
        })
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|state| {
            state.ills.change()?;
            state.files.rename(from, to)
        })
    }

    fn share(&self, from: &str, to: &str) -> io::Result<()> {
        self.with(|state| {
            let content = state.files.content(from)?.to_vec();
            state.ills.write(content.len())?;
            state.files.write(to, &content)
        })
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.with(|state| {
            state.ills.change()?;
            state.files.remove_dir_all(path)
        })
    }

    fn space(&self) -> io::Result<Space> {
        self.with(|state| Ok(state.ills.space()))
    }
}
