//! The live database of the state machine, and how an installed snapshot takes its place.
//!
//! ```text
//! state/<generation>/...    RocksDB
//! state/CURRENT             which generation is the live one
//! ```
//!
//! Installing builds a new generation beside the old one and switches the pointer by a rename. Views keep their generation open; the last
//! one to go removes its folder. What the pointer does not name is removed at the next start.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Disk, Engine, EngineKind, join, read_file, replace_file},
    rows,
    snapshot::SnapshotDir,
};

/// The folder of all generations.
const FOLDER: &str = "state";
/// The file that names the live one.
const POINTER: &str = "CURRENT";

#[derive(Serialize, Deserialize)]
enum Pointer {
    V1 { generation: u64 },
}

/// One database of the state machine.
pub(crate) struct Generation {
    number: u64,
    /// `None` only while it is being dropped.
    engine: Option<Arc<dyn Engine>>,
    disk: Arc<dyn Disk>,
    path: String,
    /// Set once another one has taken its place.
    is_retired: AtomicBool,
}

impl Generation {
    fn open(disk: &Arc<dyn Disk>, number: u64) -> io::Result<Self> {
        let path = path_of(number);
        let engine = disk.open_engine(&path, EngineKind::State)?;
        Ok(Self {
            number,
            engine: Some(engine),
            disk: Arc::clone(disk),
            path,
            is_retired: AtomicBool::new(false),
        })
    }

    pub(crate) fn engine(&self) -> &dyn Engine {
        &**self.engine.as_ref().expect("it is open until it is dropped")
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        drop(self.engine.take());
        if self.is_retired.load(Ordering::Acquire)
            && let Err(error) = self.disk.remove_dir_all(&self.path)
        {
            tracing::warn!(path = self.path, %error, "a replaced database could not be removed");
        }
    }
}

/// What a data directory has of a live database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// The pointer names this generation.
    Current(u64),
    /// There is no pointer: the directory is new, or its first opening was cut short.
    Nothing,
}

/// Reads the pointer.
///
/// # Errors
/// The disk failed, the pointer is damaged, or it names a database that is not there.
pub(crate) fn find(disk: &dyn Disk) -> io::Result<Found> {
    let pointer = join(FOLDER, POINTER);
    if !disk.exists(&pointer)? {
        return Ok(Found::Nothing);
    }
    let Pointer::V1 { generation } = rows::decode(&read_file(disk, &pointer)?)?;
    if disk.exists(&path_of(generation))? {
        Ok(Found::Current(generation))
    } else {
        let reason = format!("{pointer} names the database {}, which is not there", path_of(generation));
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    }
}

/// Opens the live database, or makes the first one, and removes what a crash has left of others.
///
/// # Errors
/// The disk failed or is full, or the database is damaged.
pub(crate) fn open(disk: &Arc<dyn Disk>, found: Found) -> io::Result<Generation> {
    disk.create_dir(FOLDER)?;
    disk.sync_dir("")?;
    // A life that was killed may have set the pointer without making that durable.
    disk.sync_dir(FOLDER)?;
    for name in disk.list(FOLDER)? {
        if name.parse().is_ok_and(|number| found != Found::Current(number)) {
            disk.remove_dir_all(&join(FOLDER, &name))?;
        }
    }
    match found {
        Found::Current(number) => Generation::open(disk, number),
        Found::Nothing => {
            let first = Generation::open(disk, 1)?;
            switch_to(&first)?;
            Ok(first)
        }
    }
}

/// Builds the generation after `current` from a snapshot, which stays as it is. `adjust` may change rows before they are made durable.
///
/// # Errors
/// The disk failed, or `adjust` did.
pub(crate) fn build(
    current: &Generation,
    snapshot: &SnapshotDir,
    adjust: impl FnOnce(&dyn Engine) -> io::Result<()>,
) -> io::Result<Generation> {
    let disk = &current.disk;
    let number = current.number + 1;
    let path = path_of(number);
    disk.remove_dir_all(&path)?;
    disk.create_dir(&path)?;
    for file in &snapshot.manifest().files {
        let copy = join(&path, &file.name);
        disk.share(&join(&snapshot.db(), &file.name), &copy)?;
        disk.sync_file(&copy)?;
    }
    disk.sync_dir(&path)?;
    disk.sync_dir(FOLDER)?;
    let generation = Generation::open(disk, number)?;
    adjust(generation.engine())?;
    if !capstan_model::mutant!("install-not-flushed") {
        generation.engine().flush()?;
    }
    Ok(generation)
}

/// Makes a generation the live one, durably.
///
/// # Errors
/// The disk failed; after a crash either may be the live one.
pub(crate) fn switch_to(generation: &Generation) -> io::Result<()> {
    generation.disk.sync_dir(FOLDER)?;
    replace_file(&*generation.disk, FOLDER, POINTER, &encode_pointer(generation.number))
}

/// What the pointer holds.
pub(crate) fn encode_pointer(generation: u64) -> Bytes {
    rows::seal(&Pointer::V1 { generation }, &[])
}

/// Marks a generation that is the live one no longer: its folder goes with its last view.
pub(crate) fn retire(generation: &Generation) {
    generation.is_retired.store(true, Ordering::Release);
}

fn path_of(number: u64) -> String {
    join(FOLDER, &format!("{number:08}"))
}
