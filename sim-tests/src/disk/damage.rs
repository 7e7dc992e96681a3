//! Data that is not what it was: flipped bits, lost files, and directories of another time.

use bytes::Bytes;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};

use super::{SimDisk, files::Files};

/// The engine of the log.
const LOG: &str = "log";
/// The folder of the engine of the state.
const STATE: &str = "state";
/// The folder of snapshots.
const SNAPSHOTS: &str = "snapshots";

/// Where a bit flips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flips {
    /// In an entry, the vote, or another value of the log; found by the store's own checksum.
    Log,
    /// In a row of the state; found by RocksDB's checksum of the block when it is read.
    State,
    /// In a file of a snapshot, or in its manifest.
    Snapshot,
}

/// What a data directory held at some time.
pub struct DiskCopy(Files);

impl SimDisk {
    /// Flips one bit of what is stored, chosen by a number; says whether there was anything.
    pub fn flip(&self, flips: Flips, choice: u64) -> bool {
        let state = &mut *self.lock();
        let mut rng = SmallRng::seed_from_u64(choice);
        match flips {
            Flips::Log => state.files.store(LOG).is_ok_and(|log| log.flip(&mut rng)),
            Flips::State => {
                let engines = state.files.stores_below(STATE);
                let Some(path) = pick(&engines, &mut rng) else { return false };
                state.files.store(path).is_ok_and(|engine| engine.spoil(&mut rng))
            }
            Flips::Snapshot => {
                let files = state.files.files_below(SNAPSHOTS);
                let Some(path) = pick(&files, &mut rng) else { return false };
                state.files.flip(path, &mut rng)
            }
        }
    }

    /// Loses one file, or what an engine holds, chosen by a number; says which. The node must be down.
    pub fn lose_one(&self, choice: u64) -> Option<String> {
        let state = &mut *self.lock();
        let mut all = state.files.files_below("");
        all.extend(state.files.stores_below(""));
        let lost = pick(&all, &mut SmallRng::seed_from_u64(choice))?.clone();
        state.files.lose(&lost);
        Some(lost)
    }

    /// Everything is gone, as after an operator made a new file system. The node must be down.
    pub fn wipe(&self) {
        self.lock().files = Files::new();
    }

    /// What a power cut at this moment would leave.
    pub fn copy(&self) -> DiskCopy {
        let state = &mut *self.lock();
        let mut files = state.files.clone();
        files.lose_unsynced(&mut state.rng);
        DiskCopy(files)
    }

    /// Puts all of a copy back. The node must be down.
    pub fn restore(&self, copy: DiskCopy) {
        self.lock().files = copy.0;
    }

    /// Puts the state of a copy back, and leaves log and snapshots as they are. The node must be down.
    pub fn restore_state(&self, copy: &DiskCopy) {
        self.lock().files.graft(STATE, &copy.0);
    }
}

fn pick<'a>(paths: &'a [String], rng: &mut SmallRng) -> Option<&'a String> {
    (!paths.is_empty()).then(|| &paths[rng.random_range(0..paths.len())])
}

/// The same bytes but for one bit; nothing stays nothing.
pub(crate) fn flipped(bytes: &[u8], rng: &mut SmallRng) -> Bytes {
    let mut bytes = bytes.to_vec();
    if !bytes.is_empty() {
        let at = rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << rng.random_range(0..8);
    }
    bytes.into()
}
