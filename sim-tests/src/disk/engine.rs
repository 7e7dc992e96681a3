//! A simulated key-value store: rows that are visible, rows that are durable, and the batches between them.

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    ops::Bound,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use capstan_model::mutant;
use capstan_raft_store::{
    engine::{Batch, Change, Direction, Engine, Row, SyncDone},
    runtime,
};
use imbl::OrdMap;
use rand::{RngExt, rngs::SmallRng};
use tokio::time::Instant;

use super::{
    DiskHandle, State,
    damage::flipped,
    files::{Loses, ROWS_FILE},
};

/// Rows in key order; clones are cheap.
pub(super) type Rows = OrdMap<Bytes, Bytes>;

/// What a folder's engine holds, whether it is open or not.
#[derive(Default, Clone)]
pub(super) struct Store {
    visible: Rows,
    durable: Rows,
    /// Batches that are visible and not durable, oldest first.
    pending: VecDeque<Batch>,
    /// Counts the batches ever written.
    written: u64,
    is_open: bool,
    /// Set when it was opened from files that a power cut can still take.
    stands_on_sand: bool,
    is_damaged: bool,
    /// Set when some of what is visible is neither durable nor pending, because a sync failed.
    has_missed: bool,
    /// Keys of rows in blocks whose checksum is wrong: reading them fails until they are written anew.
    spoilt: BTreeSet<Bytes>,
}

impl Store {
    pub(super) fn from_checkpoint(rows: Rows, is_durable: bool) -> Self {
        Self { visible: rows.clone(), durable: rows, stands_on_sand: !is_durable, ..Self::default() }
    }

    /// What a reader sees.
    pub(super) fn rows(&self) -> io::Result<Rows> {
        if self.is_damaged {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the engine's files were lost in a power cut",
            ));
        }
        Ok(self.visible.clone())
    }

    pub(super) fn open(&mut self) -> io::Result<()> {
        self.rows()?;
        if std::mem::replace(&mut self.is_open, true) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        if std::mem::take(&mut self.has_missed) {
            // What recovery reads it writes again.
            self.pending = VecDeque::from([difference(&self.durable, &self.visible)]);
        }
        Ok(())
    }

    pub(super) fn close(&mut self) {
        self.is_open = false;
    }

    /// Keeps some prefix of the batches that were not synced: the write-ahead log is one stream.
    pub(super) fn lose_unsynced(&mut self, loses: Loses, rng: &mut SmallRng) {
        let kept = loses.kept(self.pending.len(), rng);
        capstan_model::sometimes!("power cut took batches that were not synced", kept < self.pending.len());
        for batch in self.pending.drain(..).take(kept) {
            change(&mut self.durable, batch);
        }
        self.visible = self.durable.clone();
        self.has_missed = false;
        self.is_damaged |= self.stands_on_sand;
        self.close();
    }

    pub(super) fn len(&self) -> usize {
        self.visible.len()
    }

    pub(super) fn durable_row(&self, key: &[u8]) -> Option<Bytes> {
        self.durable.get(key).cloned()
    }

    /// Flips a bit of some value.
    pub(super) fn flip(&mut self, rng: &mut SmallRng) -> bool {
        let Some(key) = self.some_key(rng) else { return false };
        let value = flipped(&self.visible[&key], rng);
        self.visible.insert(key.clone(), value.clone());
        self.durable.insert(key, value);
        true
    }

    /// Makes some row unreadable.
    pub(super) fn spoil(&mut self, rng: &mut SmallRng) -> bool {
        let key = self.some_key(rng);
        key.is_some_and(|key| self.spoilt.insert(key))
    }

    fn some_key(&self, rng: &mut SmallRng) -> Option<Bytes> {
        if self.visible.is_empty() {
            return None;
        }
        let nth = rng.random_range(0..self.visible.len());
        self.visible.keys().nth(nth).cloned()
    }

    /// Fails when one of these rows cannot be read.
    fn check<'a>(&self, mut keys: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        if !self.spoilt.is_empty() && keys.any(|key| self.spoilt.contains(key)) {
            capstan_model::sometimes!("unreadable row met");
            return Err(io::Error::new(io::ErrorKind::InvalidData, "block checksum mismatch"));
        }
        Ok(())
    }

    fn write(&mut self, batch: Batch) {
        if !self.spoilt.is_empty() {
            for change in &batch.changes {
                if let Change::Put(key, _) | Change::Delete(key) = change {
                    self.spoilt.remove(key);
                }
            }
        }
        change(&mut self.visible, batch.clone());
        self.pending.push_back(batch);
        self.written += 1;
    }

    /// Makes the batches up to this count durable.
    fn sync_to(&mut self, written: u64) {
        for batch in self.take_pending(written) {
            change(&mut self.durable, batch);
        }
    }

    /// Keeps the batches up to this count in memory alone.
    fn miss(&mut self, written: u64) {
        self.has_missed |= !self.take_pending(written).is_empty();
    }

    fn take_pending(&mut self, written: u64) -> Vec<Batch> {
        let newer = usize::try_from(self.written - written).expect("batches in memory");
        let older = self.pending.len().saturating_sub(newer);
        self.pending.drain(..older).collect()
    }
}

/// The batch that makes the former the latter.
fn difference(from: &Rows, to: &Rows) -> Batch {
    let mut batch = Batch::default();
    for (key, _) in from.iter().filter(|(key, _)| !to.contains_key(*key)) {
        batch.delete(key.clone());
    }
    for (key, value) in to.iter().filter(|(key, value)| from.get(*key) != Some(*value)) {
        batch.put(key.clone(), value.clone());
    }
    batch
}

fn change(rows: &mut Rows, batch: Batch) {
    for change in batch.changes {
        match change {
            Change::Put(key, value) => {
                rows.insert(key, value);
            }
            Change::Delete(key) => {
                rows.remove(&key);
            }
            Change::DeleteRange(from, to) => {
                let doomed: Vec<Bytes> =
                    rows.range::<_, Bytes>(from..to).map(|(key, _)| key.clone()).collect();
                for key in doomed {
                    rows.remove(&key);
                }
            }
        }
    }
}

fn encode_rows(rows: &Rows) -> Vec<u8> {
    let rows: Vec<(&Bytes, &Bytes)> = rows.iter().collect();
    postcard::to_stdvec(&rows).expect("rows are bytes")
}

pub(super) fn decode_rows(bytes: &Bytes) -> io::Result<Rows> {
    let rows: Vec<(Bytes, Bytes)> =
        postcard::from_bytes(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(rows.into_iter().collect())
}

/// An open engine. One flusher serves its syncs in order; it is a task of the node, so a crash takes it and what waits in it.
pub(super) struct SimEngine {
    disk: DiskHandle,
    path: Arc<str>,
    syncs: Arc<Mutex<Syncs>>,
}

#[derive(Default)]
struct Syncs {
    waiting: Vec<(u64, SyncDone)>,
    is_flushing: bool,
}

impl SimEngine {
    pub(super) fn new(disk: DiskHandle, path: &str) -> Self {
        Self { disk, path: path.into(), syncs: Arc::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Store) -> io::Result<T>) -> io::Result<T> {
        self.disk.with(|state| work(state.files.store(&self.path)?))
    }

    /// Reads, which may fail.
    fn read<T>(&self, work: impl FnOnce(&Store) -> io::Result<T>) -> io::Result<T> {
        self.disk.with(|state| {
            state.ills.read()?;
            let State { files, ills, .. } = state;
            work(files.store(&self.path)?).inspect_err(|_| ills.hurt())
        })
    }
}

fn bytes_of(batch: &Batch) -> usize {
    let bytes = |change: &Change| match change {
        Change::Put(key, value) => key.len() + value.len(),
        Change::Delete(key) => key.len(),
        Change::DeleteRange(from, to) => from.len() + to.len(),
    };
    batch.changes.iter().map(bytes).sum()
}

impl Drop for SimEngine {
    fn drop(&mut self) {
        // The disk may have crashed meanwhile, or the folder may be gone: then there is nothing to close.
        let _ = self.with(|store| {
            store.close();
            Ok(())
        });
    }
}

impl Engine for SimEngine {
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        self.read(|store| {
            store.check(std::iter::once(key))?;
            Ok(store.visible.get(key).cloned())
        })
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, direction: Direction) -> io::Result<Vec<Row>> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.read(|store| {
            let rows = store
                .visible
                .range::<_, [u8]>((Bound::Included(from), Bound::Excluded(to)))
                .map(|(key, value)| (key.clone(), value.clone()));
            let rows: Vec<Row> = match direction {
                Direction::Forward => rows.take(limit).collect(),
                Direction::Backward => rows.rev().take(limit).collect(),
            };
            store.check(rows.iter().map(|(key, _)| &**key))?;
            Ok(rows)
        })
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        self.disk.with(|state| {
            state.ills.write(bytes_of(&batch))?;
            state.files.store(&self.path)?.write(batch);
            Ok(())
        })
    }

    fn sync(&self, done: SyncDone) {
        let Ok(written) = self.with(|store| Ok(store.written)) else { return };
        let mut syncs = self.syncs.lock().expect("nothing panics while holding it");
        if mutant!("sync-reported-early") {
            syncs.waiting.push((written, Box::new(|_| {})));
            runtime::spawn(async move { done(Ok(())) });
        } else {
            syncs.waiting.push((written, done));
        }
        if !std::mem::replace(&mut syncs.is_flushing, true) {
            runtime::spawn(flush_all(self.disk.clone(), Arc::clone(&self.path), Arc::clone(&self.syncs)));
        }
    }

    fn flush(&self) -> io::Result<()> {
        self.disk.with(|state| {
            state.ills.sync()?;
            let store = state.files.store(&self.path)?;
            store.sync_to(store.written);
            Ok(())
        })
    }

    fn checkpoint(&self, path: &str) -> io::Result<()> {
        self.disk.with(|state| {
            let rows = encode_rows(&state.files.store(&self.path)?.visible);
            if state.files.exists(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.ills.write(rows.len())?;
            state.files.create_dir(path)?;
            state.files.write(&format!("{path}/{ROWS_FILE}"), &rows)
        })
    }
}

/// Syncs until nobody waits: each round makes durable what was written when its calls were made, and answers them in order.
async fn flush_all(disk: DiskHandle, path: Arc<str>, syncs: Arc<Mutex<Syncs>>) {
    loop {
        let mut round = {
            let mut syncs = syncs.lock().expect("nothing panics while holding it");
            if syncs.waiting.is_empty() {
                syncs.is_flushing = false;
                return;
            }
            std::mem::take(&mut syncs.waiting)
        };
        let start = Instant::now();
        loop {
            let takes: io::Result<Duration> = disk.with(|state| Ok(state.ills.sync_takes(&mut state.rng)));
            let Ok(takes) = takes else { return };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(start + takes) => break,
                () = disk.disk.manner_changed.notified() => {}
            }
        }
        let newest = round.last().map_or(0, |(written, _)| *written);
        let result = sync_to(&disk, &path, newest);
        if mutant!("flusher-answers-late-syncs") {
            round.append(&mut syncs.lock().expect("nothing panics while holding it").waiting);
        }
        for (_, done) in round {
            done(match &result {
                Ok(()) => Ok(()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            });
        }
    }
}

/// Makes what was written by then durable, or fails as disks do: what was to be written is taken for written, and no later sync
/// writes it.
fn sync_to(disk: &DiskHandle, path: &str, written: u64) -> io::Result<()> {
    disk.with(|state| {
        let synced = state.ills.sync();
        let store = state.files.store(path)?;
        match synced {
            Ok(()) if mutant!("sync-never-durable") => {}
            Ok(()) => store.sync_to(written),
            Err(_) => store.miss(written),
        }
        synced
    })
}
