//! A disk in memory that keeps apart what was written and what was synced, for tests that cut the power.
//!
//! Everything that can be synced by itself (an engine, a file, the names in a folder) is a [`Faced`]: as it is read, as a
//! power cut leaves it, and the changes between the two. [`VolatileDisk::after_power_cut`] decides for each how many of those changes
//! survive and gives the disk that is found afterwards, while the one that was cut goes on; so one run is cut after each of its steps.

use std::{
    collections::BTreeMap,
    io,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;

use super::{Batch, Change, Direction, Disk, Engine, EngineKind, Row, Space, SyncDone};

type Rows = BTreeMap<Bytes, Bytes>;
type Names = BTreeMap<String, Inode>;
type Inode = usize;

const ROOT: Inode = 0;
/// The file of a checkpoint that holds its rows.
const ROWS_FILE: &str = "000001.sst";

/// What can be changed step by step.
trait Changing: Clone + Default {
    /// One step, which survives a crash whole or not at all.
    type Step: Clone;

    fn take(&mut self, step: &Self::Step);
}

impl Changing for Rows {
    type Step = Batch;

    fn take(&mut self, batch: &Batch) {
        for change in &batch.changes {
            match change {
                Change::Put(key, value) => drop(self.insert(key.clone(), value.clone())),
                Change::Delete(key) => drop(self.remove(key)),
                Change::DeleteRange(from, to) => self.retain(|key, _| key < from || key >= to),
            }
        }
    }
}

/// Names that appear and vanish together.
type Naming = Vec<(String, Option<Inode>)>;

impl Changing for Names {
    type Step = Naming;

    fn take(&mut self, naming: &Naming) {
        for (name, inode) in naming {
            match inode {
                Some(inode) => drop(self.insert(name.clone(), *inode)),
                None => drop(self.remove(name)),
            }
        }
    }
}

/// A step of a file's content.
#[derive(Clone)]
enum Writing {
    Empty,
    Append(Bytes),
}

impl Changing for Vec<u8> {
    type Step = Writing;

    fn take(&mut self, writing: &Writing) {
        match writing {
            Writing::Empty => self.clear(),
            Writing::Append(bytes) => self.extend_from_slice(bytes),
        }
    }
}

/// Something as it is read, as a power cut leaves it at least, and the steps from one to the other.
#[derive(Clone)]
struct Faced<T: Changing> {
    visible: T,
    durable: T,
    pending: Vec<T::Step>,
}

impl<T: Changing> Default for Faced<T> {
    fn default() -> Self {
        Self { visible: T::default(), durable: T::default(), pending: Vec::new() }
    }
}

impl<T: Changing> Faced<T> {
    fn change(&mut self, step: T::Step) {
        self.visible.take(&step);
        self.pending.push(step);
    }

    /// Makes the oldest `steps` durable.
    fn sync(&mut self, steps: usize) {
        for step in self.pending.drain(..steps) {
            self.durable.take(&step);
        }
    }

    fn sync_all(&mut self) {
        self.sync(self.pending.len());
    }

    fn lose(&mut self, survivors: &mut dyn FnMut(usize) -> usize) {
        if !self.pending.is_empty() {
            self.sync(survivors(self.pending.len()));
            self.pending.clear();
        }
        self.visible = self.durable.clone();
    }
}

#[derive(Clone)]
enum Node {
    Folder(Folder),
    File(Faced<Vec<u8>>),
}

#[derive(Clone, Default)]
struct Folder {
    names: Faced<Names>,
    engine: Option<Store>,
}

/// The engine of a folder, open or not.
#[derive(Clone, Default)]
struct Store {
    rows: Faced<Rows>,
    is_open: bool,
    /// Set when it was opened from files that a power cut can still take.
    is_afloat: bool,
    /// How many of its oldest pending batches each waiting sync covers.
    waiting: Vec<usize>,
}

#[derive(Clone)]
struct Tree(Vec<Node>);

#[derive(Default)]
struct Syncs {
    are_held: bool,
    waiting: Vec<(String, SyncDone)>,
}

/// The disk; clones are the same one.
#[derive(Clone)]
pub(crate) struct VolatileDisk {
    tree: Arc<Mutex<Tree>>,
    syncs: Arc<Mutex<Syncs>>,
}

impl VolatileDisk {
    /// An empty disk.
    pub(crate) fn new() -> Self {
        Self::holding(Tree(vec![Node::Folder(Folder::default())]))
    }

    fn holding(tree: Tree) -> Self {
        Self { tree: Arc::new(Mutex::new(tree)), syncs: Arc::default() }
    }

    /// The disk that a power cut at this moment leaves. `survivors` is asked for each engine, file and folder with unsynced steps
    /// how many of the oldest survive.
    pub(crate) fn after_power_cut(&self, survivors: &mut dyn FnMut(usize) -> usize) -> Self {
        let mut tree = self.tree().clone();
        for node in &mut tree.0 {
            match node {
                Node::File(content) => content.lose(survivors),
                Node::Folder(folder) => {
                    folder.names.lose(survivors);
                    folder.engine.take_if(|store| store.is_afloat);
                    if let Some(store) = &mut folder.engine {
                        store.rows.lose(survivors);
                        store.is_open = false;
                        store.waiting.clear();
                    }
                }
            }
        }
        Self::holding(tree)
    }

    /// Keeps engines' syncs from ending until [`VolatileDisk::end_syncs`].
    pub(crate) fn hold_syncs(&self) {
        self.syncs().are_held = true;
    }

    /// Ends the syncs that wait, in the order they were asked for. Each makes durable what was written before it, and nothing more.
    pub(crate) fn end_syncs(&self) {
        let waiting = std::mem::take(&mut self.syncs().waiting);
        for (path, done) in waiting {
            let synced = self.tree().store(&path).map(|store| {
                let steps = store.waiting.remove(0);
                store.rows.sync(steps);
                store.waiting.iter_mut().for_each(|later| *later -= steps);
            });
            done(synced);
        }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().expect("nothing panics while holding it")
    }

    fn syncs(&self) -> MutexGuard<'_, Syncs> {
        self.syncs.lock().expect("nothing panics while holding it")
    }
}

struct VolatileEngine {
    disk: VolatileDisk,
    path: String,
}

impl Drop for VolatileEngine {
    fn drop(&mut self) {
        if let Ok(store) = self.disk.tree().store(&self.path) {
            store.is_open = false;
        }
    }
}

impl Engine for VolatileEngine {
    fn get(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        Ok(self.disk.tree().store(&self.path)?.rows.visible.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize, direction: Direction) -> io::Result<Vec<Row>> {
        if from >= to {
            return Ok(Vec::new());
        }
        let mut tree = self.disk.tree();
        let range = (Bound::Included(from), Bound::Excluded(to));
        let rows = tree.store(&self.path)?.rows.visible.range::<[u8], _>(range);
        let rows = rows.map(|(key, value)| (key.clone(), value.clone()));
        Ok(match direction {
            Direction::Forward => rows.take(limit).collect(),
            Direction::Backward => rows.rev().take(limit).collect(),
        })
    }

    fn write(&self, batch: Batch) -> io::Result<()> {
        self.disk.tree().store(&self.path)?.rows.change(batch);
        Ok(())
    }

    fn sync(&self, done: SyncDone) {
        let asked = self.disk.tree().store(&self.path).map(|store| {
            let steps = store.rows.pending.len();
            store.waiting.push(steps);
        });
        if let Err(error) = asked {
            return done(Err(error));
        }
        let are_held = {
            let mut syncs = self.disk.syncs();
            syncs.waiting.push((self.path.clone(), done));
            syncs.are_held
        };
        if !are_held {
            self.disk.end_syncs();
        }
    }

    fn flush(&self) -> io::Result<()> {
        let mut tree = self.disk.tree();
        let store = tree.store(&self.path)?;
        store.rows.sync_all();
        store.waiting.iter_mut().for_each(|steps| *steps = 0);
        Ok(())
    }

    fn checkpoint(&self, path: &str) -> io::Result<()> {
        let mut tree = self.disk.tree();
        if tree.find(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let rows: Vec<_> = tree.store(&self.path)?.rows.visible.clone().into_iter().collect();
        tree.create_dir(path)?;
        tree.write(&format!("{path}/{ROWS_FILE}"), &postcard::to_stdvec(&rows).expect("rows are bytes"))
    }
}

impl Disk for VolatileDisk {
    fn open_engine(&self, path: &str, _kind: EngineKind) -> io::Result<Arc<dyn Engine>> {
        let mut tree = self.tree();
        tree.create_dir(path)?;
        if tree.folder(path)?.engine.is_none() {
            let store = tree.checkpoint(path)?.unwrap_or_default();
            tree.folder(path)?.engine = Some(store);
        }
        if std::mem::replace(&mut tree.store(path)?.is_open, true) {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        Ok(Arc::new(VolatileEngine { disk: self.clone(), path: path.to_owned() }))
    }

    fn read_closed(&self, path: &str, keys: &[&[u8]]) -> io::Result<Vec<Option<Bytes>>> {
        let store = self.tree().checkpoint(path)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(keys.iter().map(|key| store.rows.visible.get(*key).cloned()).collect())
    }

    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.tree().create_dir(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        Ok(self.tree().folder(path)?.names.visible.keys().cloned().collect())
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        Ok(self.tree().find(path).is_some())
    }

    fn file_len(&self, path: &str) -> io::Result<u64> {
        Ok(self.tree().file(path)?.visible.len() as u64)
    }

    fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut tree = self.tree();
        let content = &tree.file(path)?.visible;
        let from = usize::try_from(offset).map_or(content.len(), |offset| offset.min(content.len()));
        Ok(Bytes::copy_from_slice(&content[from..content.len().min(from.saturating_add(len))]))
    }

    fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.tree().write(path, bytes)
    }

    fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.tree().file_or_new(path)?.change(Writing::Append(Bytes::copy_from_slice(bytes)));
        Ok(())
    }

    fn sync_file(&self, path: &str) -> io::Result<()> {
        self.tree().file(path)?.sync_all();
        Ok(())
    }

    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.tree().folder(path)?.names.sync_all();
        Ok(())
    }

    /// Renames within one folder; the store renames nowhere else.
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut tree = self.tree();
        let ((folder, from_name), (to_folder, to_name)) = (split(from), split(to));
        if folder != to_folder {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        let inode = tree.find(from).ok_or(io::ErrorKind::NotFound)?;
        let naming = vec![(from_name.to_owned(), None), (to_name.to_owned(), Some(inode))];
        tree.folder(folder)?.names.change(naming);
        Ok(())
    }

    fn share(&self, from: &str, to: &str) -> io::Result<()> {
        let mut tree = self.tree();
        let content = tree.file(from)?.visible.clone();
        tree.write(to, &content)
    }

    fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        self.tree().remove_dir_all(path)
    }

    fn space(&self) -> io::Result<Space> {
        Ok(Space { free: 1 << 40, total: 1 << 41 })
    }
}

impl Tree {
    fn find(&self, path: &str) -> Option<Inode> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(ROOT, |inode, name| match &self.0[inode] {
            Node::Folder(folder) => folder.names.visible.get(name).copied(),
            Node::File(_) => None,
        })
    }

    fn folder(&mut self, path: &str) -> io::Result<&mut Folder> {
        let inode = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        match &mut self.0[inode] {
            Node::Folder(folder) => Ok(folder),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&mut self, path: &str) -> io::Result<&mut Faced<Vec<u8>>> {
        let inode = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        match &mut self.0[inode] {
            Node::File(content) => Ok(content),
            Node::Folder(_) => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn store(&mut self, path: &str) -> io::Result<&mut Store> {
        self.folder(path)?.engine.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create_dir(&mut self, path: &str) -> io::Result<()> {
        match self.find(path) {
            Some(_) => self.folder(path).map(drop),
            None => self.link(path, Node::Folder(Folder::default())),
        }
    }

    fn file_or_new(&mut self, path: &str) -> io::Result<&mut Faced<Vec<u8>>> {
        if self.find(path).is_none() {
            self.link(path, Node::File(Faced::default()))?;
        }
        self.file(path)
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let content = self.file_or_new(path)?;
        content.change(Writing::Empty);
        content.change(Writing::Append(Bytes::copy_from_slice(bytes)));
        Ok(())
    }

    fn link(&mut self, path: &str, node: Node) -> io::Result<()> {
        let (folder, name) = split(path);
        let inode = self.0.len();
        self.folder(folder)?.names.change(vec![(name.to_owned(), Some(inode))]);
        self.0.push(node);
        Ok(())
    }

    /// Removes what is inside first, name by name, so that a power cut may leave a folder that lacks some of its files.
    fn remove_dir_all(&mut self, path: &str) -> io::Result<()> {
        if self.find(path).is_none() {
            return Ok(());
        }
        for name in self.folder(path)?.names.visible.clone().into_keys() {
            let inner = format!("{path}/{name}");
            if self.file(&inner).is_ok() {
                self.folder(path)?.names.change(vec![(name, None)]);
            } else {
                self.remove_dir_all(&inner)?;
            }
        }
        let (parent, name) = split(path);
        self.folder(parent)?.names.change(vec![(name.to_owned(), None)]);
        Ok(())
    }

    /// The closed engine whose rows a folder's file holds.
    fn checkpoint(&mut self, path: &str) -> io::Result<Option<Store>> {
        let is_named = self.folder(path)?.names.durable.contains_key(ROWS_FILE);
        let rows_path = format!("{path}/{ROWS_FILE}");
        if self.find(&rows_path).is_none() {
            return Ok(None);
        }
        let file = self.file(&rows_path)?;
        let rows: Vec<Row> = postcard::from_bytes(&file.visible)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        let rows: Rows = rows.into_iter().collect();
        let is_afloat = !is_named || !file.pending.is_empty();
        let rows = Faced { visible: rows.clone(), durable: rows, pending: Vec::new() };
        Ok(Some(Store { rows, is_afloat, ..Store::default() }))
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}
