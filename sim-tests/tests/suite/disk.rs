//! The simulated disk answers as RocksDB on a real file system does, so what passes on the one says something of the other.
//!
//! The same random operations run on both, on engines and on files, and each answer is compared; of errors only what callers
//! are promised. Left out is what the documentation of `Disk` and `Engine` leaves open and the store never does: a file shared
//! onto one that exists, a folder renamed onto another, a range that ends before it starts. What a power cut leaves is not
//! compared here: `raft-store` cuts the power of a real disk in its own tests.

use std::{future::Future, io, path::Path, sync::Arc};

use bytes::Bytes;
use capstan_raft_store::{
    engine::{Batch, Direction, Disk, Engine, EngineKind, RocksDisk},
    runtime,
};
use capstan_sim_tests::disk::SimDisk;
use futures::StreamExt;
use futures::channel::mpsc;
use proptest::prelude::*;
use tempfile::TempDir;

/// How many random sequences are tried.
const CASES: u32 = 40;
/// The folders that engines are opened in. All but the first are made by checkpoints.
const ENGINES: [&str; 3] = ["db", "copy1", "copy2"];

/// What an operation says; of an error only what callers are promised.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Value(Option<Bytes>),
    Values(Vec<Option<Bytes>>),
    Rows(Vec<(Bytes, Bytes)>),
    Names(Vec<String>),
    Number(u64),
    Flag(bool),
    Order(Vec<usize>),
    Failed(Option<io::ErrorKind>),
}

impl Answer {
    /// An answer whose errors callers tell apart.
    fn of<T>(result: io::Result<T>, answer: impl FnOnce(T) -> Self) -> Self {
        match result {
            Ok(value) => answer(value),
            Err(error) => Self::Failed(
                Some(error.kind())
                    .filter(|kind| matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::ResourceBusy)),
            ),
        }
    }

    /// An answer whose errors are all the same to callers.
    fn plain<T>(result: io::Result<T>, answer: impl FnOnce(T) -> Self) -> Self {
        result.map_or(Self::Failed(None), answer)
    }

    fn done(result: io::Result<()>) -> Self {
        Self::of(result, |()| Self::Done)
    }
}

/// One operation on the engines of a disk; `engine` and `at` are places in [`ENGINES`].
#[derive(Debug, Clone)]
enum EngineOperation {
    Open {
        at: usize,
    },
    Close {
        at: usize,
    },
    Write {
        engine: usize,
        batch: Batch,
    },
    Get {
        engine: usize,
        key: Vec<u8>,
    },
    Scan {
        engine: usize,
        from: Vec<u8>,
        to: Vec<u8>,
        limit: usize,
        direction: Direction,
    },
    /// Writes and syncs at once, without waiting in between.
    Sync {
        engine: usize,
        count: usize,
    },
    Flush {
        engine: usize,
    },
    Checkpoint {
        engine: usize,
        at: usize,
    },
    ReadClosed {
        at: usize,
        keys: Vec<Vec<u8>>,
    },
    Remove {
        at: usize,
    },
}

/// Keys are short and few, so that ranges meet.
fn key() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(0..3_u8, 0..4)
}

fn range() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    (key(), key()).prop_map(|(a, b)| if a <= b { (a, b) } else { (b, a) })
}

fn batch() -> impl Strategy<Value = Batch> {
    let change = prop_oneof![
        5 => (key(), proptest::collection::vec(any::<u8>(), 0..20)).prop_map(|(key, value)| (Some(value), key, vec![])),
        2 => key().prop_map(|key| (None, key, vec![])),
        2 => range().prop_map(|(from, to)| (None, from, [to, vec![9]].concat())),
    ];
    proptest::collection::vec(change, 0..6).prop_map(|changes| {
        let mut batch = Batch::default();
        for (value, key, to) in changes {
            match value {
                Some(value) => batch.put(key, value),
                None if to.is_empty() => batch.delete(key),
                None => batch.delete_range(key, to),
            }
        }
        batch
    })
}

fn engine_operation() -> impl Strategy<Value = EngineOperation> {
    use EngineOperation::*;
    let engine = || prop_oneof![3 => Just(0_usize), 1 => 1..ENGINES.len()];
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Backward)];
    prop_oneof![
        2 => engine().prop_map(|at| Open { at }),
        1 => engine().prop_map(|at| Close { at }),
        8 => (engine(), batch()).prop_map(|(engine, batch)| Write { engine, batch }),
        4 => (engine(), key()).prop_map(|(engine, key)| Get { engine, key }),
        6 => (engine(), key(), key(), 0..9_usize, direction)
            .prop_map(|(engine, from, to, limit, direction)| Scan { engine, from, to, limit, direction }),
        1 => (engine(), 1..5_usize).prop_map(|(engine, count)| Sync { engine, count }),
        1 => engine().prop_map(|engine| Flush { engine }),
        2 => (engine(), 1..ENGINES.len()).prop_map(|(engine, at)| Checkpoint { engine, at }),
        2 => (1..ENGINES.len(), proptest::collection::vec(key(), 0..4)).prop_map(|(at, keys)| ReadClosed { at, keys }),
        1 => engine().prop_map(|at| Remove { at }),
    ]
}

/// A disk and the engines that are open on it.
struct Engines {
    disk: Arc<dyn Disk>,
    open: [Option<Arc<dyn Engine>>; ENGINES.len()],
}

impl Engines {
    fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, open: [const { None }; ENGINES.len()] }
    }

    /// Performs an operation; `None` when it needs an engine that is not open, or one that is closed.
    async fn perform(&mut self, operation: &EngineOperation) -> Option<Answer> {
        use EngineOperation::*;
        Some(match operation {
            Open { at } => Answer::of(self.disk.open_engine(ENGINES[*at], EngineKind::State), |engine| {
                self.open[*at] = Some(engine);
                Answer::Done
            }),
            Close { at } => {
                drop(self.open[*at].take()?);
                Answer::Done
            }
            Write { engine, batch } => Answer::done(self.engine(*engine)?.write(batch.clone())),
            Get { engine, key } => Answer::of(self.engine(*engine)?.get(key), Answer::Value),
            Scan { engine, from, to, limit, direction } => {
                Answer::of(self.engine(*engine)?.scan(from, to, *limit, *direction), Answer::Rows)
            }
            Sync { engine, count } => self.sync(*engine, *count).await?,
            Flush { engine } => Answer::done(self.engine(*engine)?.flush()),
            Checkpoint { engine, at } => {
                Answer::plain(self.engine(*engine)?.checkpoint(ENGINES[*at]), |()| Answer::Done)
            }
            ReadClosed { at, keys } => {
                if self.open[*at].is_some() {
                    return None;
                }
                let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
                Answer::plain(self.disk.read_closed(ENGINES[*at], &keys), Answer::Values)
            }
            Remove { at } => {
                if self.open[*at].is_some() {
                    return None;
                }
                Answer::done(self.disk.remove_dir_all(ENGINES[*at]))
            }
        })
    }

    fn engine(&self, at: usize) -> Option<&dyn Engine> {
        self.open[at].as_deref()
    }

    async fn sync(&self, at: usize, count: usize) -> Option<Answer> {
        let engine = self.engine(at)?;
        let (told, completions) = mpsc::unbounded();
        for number in 0..count {
            let mut batch = Batch::default();
            batch.put(vec![7, number as u8], vec![number as u8]);
            engine.write(batch).expect("it is open");
            let told = told.clone();
            engine.sync(Box::new(move |result| {
                result.expect("nothing fails here");
                told.unbounded_send(number).expect("it is waited for");
            }));
        }
        drop(told);
        Some(Answer::Order(completions.collect().await))
    }

    /// All that is in the engines that are open.
    fn rows(&self) -> Vec<Option<Answer>> {
        let all = |engine: &Arc<dyn Engine>| {
            Answer::of(engine.scan(&[], &[255], usize::MAX, Direction::Forward), Answer::Rows)
        };
        self.open.iter().map(|engine| engine.as_ref().map(all)).collect()
    }
}

/// One operation on files and folders; paths are places in [`PATHS`].
#[derive(Debug, Clone)]
enum FileOperation {
    CreateDir(usize),
    List(usize),
    Exists(usize),
    Len(usize),
    Read(usize, u64, usize),
    Write(usize, Vec<u8>),
    Append(usize, Vec<u8>),
    SyncFile(usize),
    SyncDir(usize),
    Rename(usize, usize),
    Share(usize, usize),
    Remove(usize),
    /// The process is killed and starts again.
    Restart,
}

/// Folders and files; which is which, the operations decide.
const PATHS: [&str; 10] = ["", "a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "f/a", "f"];

fn file_operation() -> impl Strategy<Value = FileOperation> {
    use FileOperation::*;
    let path = || 1..PATHS.len();
    let bytes = || proptest::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        3 => path().prop_map(CreateDir),
        2 => (0..PATHS.len()).prop_map(List),
        1 => path().prop_map(Exists),
        1 => path().prop_map(Len),
        3 => (path(), 0..14_u64, 0..14_usize).prop_map(|(path, offset, len)| Read(path, offset, len)),
        4 => (path(), bytes()).prop_map(|(path, bytes)| Write(path, bytes)),
        4 => (path(), bytes()).prop_map(|(path, bytes)| Append(path, bytes)),
        1 => path().prop_map(SyncFile),
        1 => (0..PATHS.len()).prop_map(SyncDir),
        2 => (path(), path()).prop_map(|(from, to)| Rename(from, to)),
        2 => (path(), path()).prop_map(|(from, to)| Share(from, to)),
        1 => path().prop_map(Remove),
        1 => Just(Restart),
    ]
}

fn is_folder(disk: &dyn Disk, path: &str) -> bool {
    disk.list(path).is_ok()
}

fn is_file(disk: &dyn Disk, path: &str) -> bool {
    disk.exists(path).is_ok_and(|exists| exists) && !is_folder(disk, path)
}

/// Whether what should be a folder on the way to a path is a file.
fn is_below_file(disk: &dyn Disk, path: &str) -> bool {
    path.match_indices('/').any(|(end, _)| is_file(disk, &path[..end]))
}

impl FileOperation {
    fn paths(&self) -> Vec<&'static str> {
        use FileOperation::*;
        match self {
            CreateDir(at)
            | List(at)
            | Exists(at)
            | Len(at)
            | Read(at, ..)
            | Write(at, _)
            | Append(at, _)
            | SyncFile(at)
            | SyncDir(at)
            | Remove(at) => vec![PATHS[*at]],
            Rename(from, to) | Share(from, to) => vec![PATHS[*from], PATHS[*to]],
            Restart => vec![],
        }
    }
}

/// Performs an operation; `None` when the documentation leaves open what it does here, or the store never does it.
fn perform_on_files(disk: &dyn Disk, operation: &FileOperation) -> Option<Answer> {
    use FileOperation::*;
    if operation.paths().into_iter().any(|path| is_below_file(disk, path)) {
        return None;
    }
    let path = |at: &usize| PATHS[*at];
    Some(match operation {
        CreateDir(at) => Answer::done(disk.create_dir(path(at))),
        List(at) => Answer::of(disk.list(path(at)), Answer::Names),
        Exists(at) => Answer::of(disk.exists(path(at)), Answer::Flag),
        Len(at) | Read(at, ..) if is_folder(disk, path(at)) => return None,
        Len(at) => Answer::of(disk.file_len(path(at)), Answer::Number),
        Read(at, offset, len) => {
            Answer::of(disk.read(path(at), *offset, *len), |bytes| Answer::Value(Some(bytes)))
        }
        Write(at, bytes) => Answer::done(disk.write(path(at), bytes)),
        Append(at, bytes) => Answer::done(disk.append(path(at), bytes)),
        SyncFile(at) if is_folder(disk, path(at)) => return None,
        SyncFile(at) => Answer::done(disk.sync_file(path(at))),
        SyncDir(at) if is_file(disk, path(at)) => return None,
        SyncDir(at) => Answer::done(disk.sync_dir(path(at))),
        Rename(from, to) => {
            let (from, to) = (path(from), path(to));
            let folder =
                |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
            let is_replacing = is_folder(disk, to) || (is_folder(disk, from) && is_file(disk, to));
            if folder(from) != folder(to) || is_replacing {
                return None;
            }
            Answer::done(disk.rename(from, to))
        }
        Share(from, to) => {
            let (from, to) = (path(from), path(to));
            if is_folder(disk, from) || disk.exists(to).is_ok_and(|exists| exists) {
                return None;
            }
            Answer::done(disk.share(from, to))
        }
        Remove(at) => Answer::done(disk.remove_dir_all(path(at))),
        Restart => unreachable!("the caller restarts"),
    })
}

/// Runs as one node of a simulation does: its tasks in one set, its time virtual.
fn simulated<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let _entered = runtime::enter(1);
        work.await
    })
}

fn rocks(folder: &Path) -> Arc<dyn Disk> {
    Arc::new(RocksDisk::open(folder).expect("a disk"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_engine_answers_as_rocksdb_does(operations in proptest::collection::vec(engine_operation(), 1..80)) {
        simulated(async {
            let folder = TempDir::new().expect("a folder");
            let mut real = Engines::new(rocks(folder.path()));
            let mut simulated = Engines::new(SimDisk::new(1).handle());
            for operation in [&[EngineOperation::Open { at: 0 }], &operations[..]].concat() {
                let expected = real.perform(&operation).await;
                prop_assert_eq!(simulated.perform(&operation).await, expected, "{:?}", operation);
                prop_assert_eq!(simulated.rows(), real.rows(), "{:?}", operation);
            }
            Ok(())
        })?;
    }

    #[test]
    fn files_are_as_on_a_real_file_system(operations in proptest::collection::vec(file_operation(), 1..120)) {
        let folder = TempDir::new().expect("a folder");
        let disk = SimDisk::new(1);
        let (mut real, mut simulated) = (rocks(folder.path()), disk.handle());
        for operation in &operations {
            if let FileOperation::Restart = operation {
                disk.crash(capstan_sim_tests::disk::Loss::Process);
                (real, simulated) = (rocks(folder.path()), disk.handle());
                continue;
            }
            let expected = perform_on_files(&*real, operation);
            prop_assert_eq!(perform_on_files(&*simulated, operation), expected, "{:?}", operation);
        }
        for path in PATHS.into_iter().filter(|path| !is_below_file(&*real, path)) {
            prop_assert_eq!(simulated.exists(path).ok(), real.exists(path).ok(), "{}", path);
            prop_assert_eq!(simulated.list(path).ok(), real.list(path).ok(), "{}", path);
            if is_file(&*real, path) {
                prop_assert_eq!(simulated.read(path, 0, 1000).ok(), real.read(path, 0, 1000).ok(), "{}", path);
            }
        }
    }
}
