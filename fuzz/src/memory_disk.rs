//! A data directory in memory, whose engines are maps: all that is written is durable at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use capstan_raft_store::engine::{Batch, Change, Direction, Disk, Engine, EngineKind, Row, Space, SyncDone};

/// How much room such a disk says it has, in bytes.
const SPACE_BYTES: u64 = 1 << 40;

/// One data directory.
#[derive(Clone, Default)]
pub(crate) struct MemoryDisk(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    folders: BTreeSet<String>,
    files: BTreeMap<String, Vec<u8>>,
    engines: BTreeMap<String, Arc<MemoryEngine>>,
}

#[derive(Default)]
struct MemoryEngine {
    rows: Mutex<BTreeMap<Bytes, Bytes>>,
    /// Where checkpoints go.
    disk: MemoryDisk,
}

impl MemoryDisk {
    /// The paths of all files, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        self.content().files.keys().cloned().collect()
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().expect("nothing panics while holding it")
    }
}

impl Content {
    fn file(&self, path: &str) -> io::Result<&Vec<u8>> {
        self.files.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// A name as the host's files take it: it must be one, in a folder that is there.
    fn check(&self, path: &str) -> io::Result<()> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name.contains('\0') || name.len() > 255 {
            return Err(io::ErrorKind::InvalidFilename.into());
        }
        match folder.is_empty() || self.folders.contains(folder) {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Gives everything at or below a path another place, or none.
    fn shift(&mut self, from: &str, to: Option<&str>) {
        let moved = |path: &str| match path.strip_prefix(from) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => to.map(|to| format!("{to}{rest}")),
            _ => Some(path.to_owned()),
        };
        let shift = |path: String| moved(&path);
        self.folders = std::mem::take(&mut self.folders).into_iter().filter_map(shift).collect();
        let files = std::mem::take(&mut self.files);
        self.files = files.into_iter().filter_map(|(path, file)| Some((moved(&path)?, file))).collect();
        let engines = std::mem::take(&mut self.engines);
        self.engines =
            engines.into_iter().filter_map(|(path, engine)| Some((moved(&path)?, engine))).collect();
    }
}

impl Disk for MemoryDisk {
    fn open_engine(&self, path: &str, _: EngineKind) -> io::Result<Arc<dyn Engine>> {
        let mut content = self.content();
        content.folders.insert(path.to_owned());
        let new = || Arc::new(MemoryEngine { disk: self.clone(), ..MemoryEngine::default() });
        Ok(Arc::clone(content.engines.entry(path.to_owned()).or_insert_with(new)) as _)
    }

    fn read_closed(&self, path: &str, keys: &[&[u8]]) -> io::Result<Vec<Option<Bytes>>> {
        let engine = self.content().engines.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        keys.iter().map(|key| engine.get(key)).collect()
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        let mut content = self.content();
        content.check(path)?;
        content.folders.insert(path.to_owned());
        Ok(())
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let content = self.content();
        if !path.is_empty() && !content.folders.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let folder = if path.is_empty() { String::new() } else { format!("{path}/") };
        let names = content.folders.iter().chain(content.files.keys()).filter_map(|path| {
            path.strip_prefix(&folder)
                .filter(|name| !name.is_empty() && !name.contains('/'))
                .map(str::to_owned)
        });
        Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let content = self.content();
        Ok(content.files.contains_key(path) || content.folders.contains(path))
    }

    fn file_len(&self, path: &str) -> io::Result<u64> {
        self.content().file(path).map(|file| file.len() as u64)
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Bytes> {
        let content = self.content();
        let file = content.file(path)?;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(file.len());
        let to = from.saturating_add(len).min(file.len());
        Ok(Bytes::copy_from_slice(&file[from..to]))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut content = self.content();
        content.check(path)?;
        content.files.insert(path.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut content = self.content();
        content.check(path)?;
        content.files.entry(path.to_owned()).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.content().file(path).map(drop)
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut content = self.content();
        content.check(to)?;
        content.shift(to, None);
        content.shift(from, Some(to));
        Ok(())
    }

    fn share(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.content().file(from)?.clone();
        self.write(to, &file)
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.content().shift(path, None);
        Ok(())
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { free: SPACE_BYTES, total: SPACE_BYTES })
    }
}

impl MemoryEngine {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<Bytes, Bytes>> {
        self.rows.lock().expect("nothing panics while holding it")
    }
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        Ok(self.rows().get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, direction: Direction) -> io::Result<Vec<Row>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let rows = self.rows();
        let range = rows.range(Bytes::copy_from_slice(from)..Bytes::copy_from_slice(to));
        let row = |(key, value): (&Bytes, &Bytes)| (key.clone(), value.clone());
        Ok(match direction {
            Direction::Forward => range.take(limit).map(row).collect(),
            Direction::Backward => range.rev().take(limit).map(row).collect(),
        })
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        let mut rows = self.rows();
        for change in batch.changes {
            match change {
                Change::Put(key, value) => drop(rows.insert(key, value)),
                Change::Delete(key) => drop(rows.remove(&key)),
                Change::DeleteRange(from, to) => rows.retain(|key, _| *key < from || *key >= to),
            }
        }
        Ok(())
    }

    fn sync(&self, done: SyncDone) {
        done(Ok(()));
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn checkpoint(&self, path: &str) -> io::Result<()> {
        let copy = Self { rows: Mutex::new(self.rows().clone()), disk: self.disk.clone() };
        let mut content = self.disk.content();
        content.check(path)?;
        content.folders.insert(path.to_owned());
        content.engines.insert(path.to_owned(), Arc::new(copy));
        Ok(())
    }
}
