//! Folders and files with two faces each: what a reader sees, and what a power cut leaves.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
};

use bytes::Bytes;
use rand::{RngExt, rngs::SmallRng};

use super::{
    Usage,
    damage::flipped,
    engine::{Rows, Store, decode_rows},
};

/// The file of a closed engine's folder that holds its rows.
pub(super) const ROWS_FILE: &str = "000001.sst";

type Inode = u64;
const ROOT: Inode = 0;

/// All folders and files of a disk.
#[derive(Clone)]
pub(super) struct Files {
    inodes: BTreeMap<Inode, Node>,
    next: Inode,
}

#[derive(Clone)]
enum Node {
    Dir(Dir),
    File(File),
}

/// A folder: names, and changes of names that were not synced.
#[derive(Default, Clone)]
struct Dir {
    names: BTreeMap<String, Inode>,
    durable: BTreeMap<String, Inode>,
    pending: Vec<Vec<Naming>>,
    store: Option<Store>,
}

/// One step of a change of names; the steps of one change happen together.
#[derive(Clone)]
enum Naming {
    Link(String, Inode),
    Unlink(String),
}

/// A file: what was written, and what of it was synced.
#[derive(Default, Clone)]
struct File {
    content: Vec<u8>,
    durable: Vec<u8>,
}

impl Files {
    pub(super) fn new() -> Self {
        Self { inodes: BTreeMap::from([(ROOT, Node::Dir(Dir::default()))]), next: ROOT + 1 }
    }

    pub(super) fn create_dir(&mut self, path: &str) -> io::Result<()> {
        if self.find(path).is_some() {
            return self.dir(path).map(drop);
        }
        self.link_new(path, Node::Dir(Dir::default())).map(drop)
    }

    pub(super) fn list(&mut self, path: &str) -> io::Result<Vec<String>> {
        Ok(self.dir(path)?.names.keys().cloned().collect())
    }

    pub(super) fn exists(&self, path: &str) -> bool {
        self.find(path).is_some()
    }

    pub(super) fn content(&mut self, path: &str) -> io::Result<&[u8]> {
        Ok(&self.file(path)?.content)
    }

    /// Replaces the content; a crash may leave any prefix of it, the old content, or nothing.
    pub(super) fn write(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.file_or_new(path)?.content = bytes.to_vec();
        Ok(())
    }

    pub(super) fn append(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.file_or_new(path)?.content.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn sync_file(&mut self, path: &str) -> io::Result<()> {
        let file = self.file(path)?;
        file.durable.clone_from(&file.content);
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &str) -> io::Result<()> {
        let dir = self.dir(path)?;
        dir.pending.clear();
        dir.durable.clone_from(&dir.names);
        Ok(())
    }

    /// Gives a new name within one folder. The store renames nowhere else.
    pub(super) fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let ((from_dir, from_name), (to_dir, to_name)) = (split(from), split(to));
        if from_dir != to_dir {
            return Err(io::Error::from(io::ErrorKind::CrossesDevices));
        }
        let inode = self.find(from).ok_or(io::ErrorKind::NotFound)?;
        let steps = vec![Naming::Unlink(from_name.to_owned()), Naming::Link(to_name.to_owned(), inode)];
        self.dir(from_dir)?.change(steps);
        Ok(())
    }

    /// Removes what is inside first, each folder by itself: a crash may leave a folder that lacks some of its files.
    pub(super) fn remove_dir_all(&mut self, path: &str) -> io::Result<()> {
        if self.find(path).is_none() {
            return Ok(());
        }
        for name in self.list(path)? {
            let inner = format!("{path}/{name}");
            if self.file(&inner).is_ok() {
                self.dir(path)?.change(vec![Naming::Unlink(name)]);
            } else {
                self.remove_dir_all(&inner)?;
            }
        }
        self.dir(path)?.store = None;
        let (parent, name) = split(path);
        self.dir(parent)?.change(vec![Naming::Unlink(name.to_owned())]);
        Ok(())
    }

    /// Opens the engine of a folder: as it is, or from the rows of a checkpoint, or empty.
    pub(super) fn open_engine(&mut self, path: &str) -> io::Result<()> {
        self.create_dir(path)?;
        if self.dir(path)?.store.is_none() {
            let store = match self.checkpoint_in(path)? {
                Some((rows, is_durable)) => Store::from_checkpoint(rows, is_durable),
                None => Store::default(),
            };
            self.dir(path)?.store = Some(store);
        }
        self.store(path)?.open()
    }

    /// Counts what can be reached from the root.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        let mut left = vec![ROOT];
        while let Some(inode) = left.pop() {
            usage.files += 1;
            match &self.inodes[&inode] {
                Node::Dir(dir) => {
                    usage.rows += dir.store.as_ref().map_or(0, Store::len);
                    left.extend(dir.names.values());
                }
                Node::File(file) => usage.bytes += file.content.len(),
            }
        }
        usage
    }

    pub(super) fn store(&mut self, path: &str) -> io::Result<&mut Store> {
        self.dir(path)?.store.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The rows of a closed engine, or of a checkpoint that was not opened yet.
    pub(super) fn closed_rows(&mut self, path: &str) -> io::Result<Rows> {
        if let Some(store) = &self.dir(path)?.store {
            return store.rows();
        }
        let found = self.checkpoint_in(path)?;
        found.map(|(rows, _)| rows).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The rows in a folder's file, and whether a crash leaves them whole.
    fn checkpoint_in(&mut self, path: &str) -> io::Result<Option<(Rows, bool)>> {
        let rows_path = format!("{path}/{ROWS_FILE}");
        if !self.exists(&rows_path) {
            return Ok(None);
        }
        let is_named = self.dir(path)?.durable.contains_key(ROWS_FILE);
        let file = self.file(&rows_path)?;
        let rows = decode_rows(&Bytes::copy_from_slice(&file.content))?;
        Ok(Some((rows, is_named && file.durable == file.content)))
    }

    /// After a kill: everything written stays, nothing is open.
    pub(super) fn close_engines(&mut self) {
        for node in self.inodes.values_mut() {
            if let Node::Dir(Dir { store: Some(store), .. }) = node {
                store.close();
            }
        }
    }

    /// After a power cut: what was synced stays, and of the rest a random prefix of each folder's, file's and engine's.
    pub(super) fn lose_unsynced(&mut self, rng: &mut SmallRng) {
        let loses = Loses::draw(rng);
        for node in self.inodes.values_mut() {
            match node {
                Node::Dir(dir) => dir.lose_unsynced(loses, rng),
                Node::File(file) => file.lose_unsynced(loses, rng),
            }
        }
        self.drop_unreachable();
    }

    /// The paths of all files below a folder.
    pub(super) fn files_below(&self, path: &str) -> Vec<String> {
        self.walk(path)
            .into_iter()
            .filter(|(_, node)| matches!(node, Node::File(_)))
            .map(|(path, _)| path)
            .collect()
    }

    /// The paths of all folders at or below one that hold an engine.
    pub(super) fn stores_below(&self, path: &str) -> Vec<String> {
        let holds = |node: &Node| matches!(node, Node::Dir(Dir { store: Some(_), .. }));
        self.walk(path).into_iter().filter(|(_, node)| holds(node)).map(|(path, _)| path).collect()
    }

    /// Flips a bit of a file; says whether it has any.
    pub(super) fn flip(&mut self, path: &str, rng: &mut SmallRng) -> bool {
        let Ok(file) = self.file(path) else { return false };
        file.content = flipped(&file.content, rng).to_vec();
        file.durable.clone_from(&file.content);
        !file.content.is_empty()
    }

    /// Loses a file, or what the engine of a folder holds.
    pub(super) fn lose(&mut self, path: &str) {
        if let Ok(dir) = self.dir(path) {
            dir.store = Some(Store::default());
            return;
        }
        let (parent, name) = split(path);
        if let Ok(dir) = self.dir(parent) {
            dir.names.remove(name);
            dir.durable.remove(name);
        }
    }

    /// Puts a folder of another disk in the place of this one's.
    pub(super) fn graft(&mut self, path: &str, from: &Self) {
        let (parent, name) = split(path);
        let inode = from.find(path).map(|inode| self.plant(inode, from));
        let Ok(dir) = self.dir(parent) else { return };
        for names in [&mut dir.names, &mut dir.durable] {
            names.remove(name);
            names.extend(inode.map(|inode| (name.to_owned(), inode)));
        }
    }

    /// Copies a node of another disk with all below it, and gives it a number here.
    fn plant(&mut self, inode: Inode, from: &Self) -> Inode {
        let mut node = from.inodes[&inode].clone();
        if let Node::Dir(dir) = &mut node {
            for planted in dir.names.values_mut() {
                *planted = self.plant(*planted, from);
            }
            dir.durable.clone_from(&dir.names);
        }
        let planted = self.next;
        self.next += 1;
        self.inodes.insert(planted, node);
        planted
    }

    /// Everything at or below a path, by path.
    fn walk(&self, path: &str) -> Vec<(String, &Node)> {
        let mut found = Vec::new();
        let mut next: VecDeque<(String, Inode)> =
            self.find(path).map(|inode| (path.to_owned(), inode)).into_iter().collect();
        while let Some((path, inode)) = next.pop_front() {
            let Some(node) = self.inodes.get(&inode) else { continue };
            if let Node::Dir(dir) = node {
                let below =
                    |name: &String| if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                next.extend(dir.names.iter().map(|(name, inode)| (below(name), *inode)));
            }
            found.push((path, node));
        }
        found
    }

    fn drop_unreachable(&mut self) {
        let mut reached = BTreeMap::new();
        let mut next = VecDeque::from([ROOT]);
        while let Some(inode) = next.pop_front() {
            let Some(node) = self.inodes.remove(&inode) else { continue };
            if let Node::Dir(dir) = &node {
                next.extend(dir.names.values());
            }
            reached.insert(inode, node);
        }
        self.inodes = reached;
    }

    fn find(&self, path: &str) -> Option<Inode> {
        path.split('/').filter(|name| !name.is_empty()).try_fold(ROOT, |inode, name| {
            match self.inodes.get(&inode) {
                Some(Node::Dir(dir)) => dir.names.get(name).copied(),
                _ => None,
            }
        })
    }

    fn dir(&mut self, path: &str) -> io::Result<&mut Dir> {
        let inode = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        match self.inodes.get_mut(&inode) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn file(&mut self, path: &str) -> io::Result<&mut File> {
        let inode = self.find(path).ok_or(io::ErrorKind::NotFound)?;
        match self.inodes.get_mut(&inode) {
            Some(Node::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    fn file_or_new(&mut self, path: &str) -> io::Result<&mut File> {
        if self.find(path).is_none() {
            self.link_new(path, Node::File(File::default()))?;
        }
        self.file(path)
    }

    fn link_new(&mut self, path: &str, node: Node) -> io::Result<Inode> {
        let (parent, name) = split(path);
        let inode = self.next;
        self.dir(parent)?.change(vec![Naming::Link(name.to_owned(), inode)]);
        self.next += 1;
        self.inodes.insert(inode, node);
        Ok(inode)
    }
}

impl Dir {
    fn change(&mut self, steps: Vec<Naming>) {
        take_steps(&mut self.names, &steps);
        self.pending.push(steps);
    }

    fn lose_unsynced(&mut self, loses: Loses, rng: &mut SmallRng) {
        let kept = loses.kept(self.pending.len(), rng);
        for steps in self.pending.drain(..).take(kept) {
            take_steps(&mut self.durable, &steps);
        }
        self.names.clone_from(&self.durable);
        if let Some(store) = &mut self.store {
            store.lose_unsynced(loses, rng);
        }
    }
}

/// What a file system writes at a time, in bytes.
const GRAINS: [usize; 3] = [1, 512, 4_096];

impl File {
    /// Keeps the content that was synced, or some prefix of what was written after it, which may end in zeros where blocks were
    /// reserved and not written.
    fn lose_unsynced(&mut self, loses: Loses, rng: &mut SmallRng) {
        if self.content != self.durable && rng.random_bool(0.5) {
            let appended_from = if self.content.starts_with(&self.durable) { self.durable.len() } else { 0 };
            let grain = GRAINS[rng.random_range(0..GRAINS.len())];
            let kept = appended_from + loses.kept(self.content.len() - appended_from, rng);
            let torn = (kept - kept % grain).max(appended_from);
            let is_torn = torn < self.content.len();
            capstan_model::sometimes!("power cut tore a file", is_torn);
            self.durable = self.content[..torn].to_vec();
            if is_torn && rng.random_bool(0.3) {
                self.durable.resize(self.content.len(), 0);
            }
        }
        self.content.clone_from(&self.durable);
    }
}

/// How much of what was not synced a power cut takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loses {
    All,
    Nothing,
    /// Of each file, folder and engine some of the newest.
    Some,
}

impl Loses {
    fn draw(rng: &mut SmallRng) -> Self {
        match rng.random_range(0..4) {
            0 => Self::All,
            1 => Self::Nothing,
            _ => Self::Some,
        }
    }

    /// How many of so many, counted from the oldest, are kept.
    pub(super) fn kept(self, of: usize, rng: &mut SmallRng) -> usize {
        let some = rng.random_range(0..=of);
        match self {
            Self::All => 0,
            Self::Nothing => of,
            Self::Some => some,
        }
    }
}

fn take_steps(names: &mut BTreeMap<String, Inode>, steps: &[Naming]) {
    for step in steps {
        match step {
            Naming::Link(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            Naming::Unlink(name) => {
                names.remove(name);
            }
        }
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_power_cut_takes_nothing_that_was_synced() {
        for seed in 0..50 {
            let mut files = Files::new();
            files.create_dir("a").expect("created");
            files.write("a/f", b"synced").expect("written");
            files.sync_file("a/f").expect("synced");
            files.sync_dir("a").expect("synced");
            files.sync_dir("").expect("synced");
            files.append("a/f", b", and not").expect("appended");
            files.lose_unsynced(&mut SmallRng::seed_from_u64(seed));
            assert!(files.content("a/f").expect("there").starts_with(b"synced"), "seed {seed}");
        }
    }

    #[test]
    fn a_name_that_was_not_synced_is_lost_in_some_power_cuts() {
        let survived = (0..50).filter(|seed| {
            let mut files = Files::new();
            files.write("f", b"x").expect("written");
            files.sync_file("f").expect("synced");
            files.lose_unsynced(&mut SmallRng::seed_from_u64(*seed));
            files.exists("f")
        });
        assert!((1..50).contains(&survived.count()));
    }

    #[test]
    fn a_folder_of_another_disk_takes_the_place_of_ones_own() {
        let disk = |content: &[u8]| {
            let mut files = Files::new();
            for folder in ["a", "a/b", "c"] {
                files.create_dir(folder).expect("created");
                files.write(&format!("{folder}/f"), content).expect("written");
            }
            files
        };
        let (mut new, old) = (disk(b"new"), disk(b"old"));
        new.write("a/b/g", b"new").expect("written");
        new.graft("a", &old);
        assert_eq!(new.files_below("a"), ["a/f", "a/b/f"]);
        for (path, content) in [("a/f", b"old"), ("a/b/f", b"old"), ("c/f", b"new")] {
            assert_eq!(new.content(path).expect("there"), content, "{path}");
        }
        new.lose("c/f");
        assert!(!new.exists("c/f") && new.exists("a/f"));
    }
}
