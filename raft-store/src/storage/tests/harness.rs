//! A data directory in a temporary folder, and short ways to write to it.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use capstan_model::{
    command::{Command, Condition, Entry, NodeJoined, Sealed},
    ids::{ClusterId, CommandId, DiskId, Incarnation, NodeId},
    time::Timestamp,
};
use openraft::{
    EntryPayload, Membership,
    storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine},
    vote::RaftLeaderId,
};
use tempfile::TempDir;

use crate::{
    engine::{
        Disk, RocksDisk,
        testing::{Controls, TestDisk},
    },
    ports::FatalSink,
    snapshot::SnapshotHandle,
    storage::{OpenError, Opened, Opening, open},
    type_config::{EntryData, LogId, RaftEntry, Vote},
};

/// The node that the tests' directories belong to.
pub(super) const NODE: NodeId = NodeId(1);

const INCARNATION: Incarnation = Incarnation { node: NODE, boot: 1, nonce: 7 };

/// A data directory that is removed at the end.
pub(super) struct Directory(TempDir);

impl Directory {
    pub(super) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn disk(&self) -> Arc<dyn Disk> {
        rocks(self.path())
    }

    /// The directory's disk under a test's control.
    pub(super) fn controlled(&self) -> (Arc<dyn Disk>, Controls) {
        let (disk, controls) = TestDisk::new(self.disk());
        (disk, controls)
    }

    pub(super) async fn open(&self) -> Opened {
        self.try_open().await.unwrap()
    }

    pub(super) async fn try_open(&self) -> Result<Opened, OpenError> {
        open_on(self.disk()).await
    }

    /// Another directory with the same content.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new();
        copy_folder(self.path(), copy.path());
        copy
    }
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target: PathBuf = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(super) fn rocks(path: &Path) -> Arc<dyn Disk> {
    Arc::new(RocksDisk::open(path).unwrap())
}

pub(super) async fn open_on(disk: Arc<dyn Disk>) -> Result<Opened, OpenError> {
    open_with(disk, Arc::default()).await
}

pub(super) async fn open_with(disk: Arc<dyn Disk>, fatal: Arc<Reasons>) -> Result<Opened, OpenError> {
    open(disk, Opening { node: NODE, new_disk: DiskId(0xd15c), fatal }).await
}

/// Why the node was told to stop.
#[derive(Default)]
pub(super) struct Reasons(Mutex<Vec<String>>);

impl Reasons {
    pub(super) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl FatalSink for Reasons {
    fn fatal(&self, reason: &str) {
        self.0.lock().unwrap().push(reason.to_owned());
    }
}

pub(super) fn log_id(term: u64, index: u64) -> LogId {
    LogId::new(term.into(), index)
}

pub(super) fn vote(term: u64) -> Vote {
    Vote { leader_id: RaftLeaderId::new(term, NODE.0), committed: false }
}

pub(super) fn blank(term: u64, index: u64) -> RaftEntry {
    RaftEntry { log_id: log_id(term, index), payload: EntryPayload::Blank }
}

/// An entry that makes `voters` the members.
pub(super) fn membership(term: u64, index: u64, voters: &[u64]) -> RaftEntry {
    let membership = Membership::new_with_defaults(vec![voters.iter().copied().collect()], []);
    RaftEntry { log_id: log_id(term, index), payload: EntryPayload::Membership(membership) }
}

/// An entry of `len` bytes that is only ever stored.
pub(super) fn bulk(term: u64, index: u64, len: usize) -> RaftEntry {
    let payload = EntryPayload::Normal(EntryData(Bytes::from(vec![0x5a; len])));
    RaftEntry { log_id: log_id(term, index), payload }
}

/// The entry that the state of every test starts from: a cluster and a session to propose in.
pub(super) fn founding(term: u64, index: u64) -> RaftEntry {
    let joined = NodeJoined {
        incarnation: INCARNATION,
        disk: DiskId(0xd15c),
        peer_address: "n1:7001".into(),
        http_address: "n1:8001".into(),
        slots: 4,
        job_types: vec![],
    };
    commands(
        term,
        index,
        vec![Command::FoundCluster { cluster: ClusterId(0xc1) }, Command::NodeJoined(joined)],
    )
}

/// An entry that sets a variable named after its index, in a state that has seen [`founding`].
pub(super) fn put(term: u64, index: u64) -> RaftEntry {
    let name = format!("v{index}").parse().unwrap();
    let value = Bytes::from(format!("value {index} of term {term}"));
    commands(term, index, vec![Command::PutVariable { name, value, condition: Condition::Any }])
}

/// The entry of a log id in the histories of most tests: the founding at 1, then variables.
pub(super) fn entry(log_id: LogId) -> RaftEntry {
    let (term, index) = (**log_id.committed_leader_id(), log_id.index());
    if index == 1 { founding(term, index) } else { put(term, index) }
}

fn commands(term: u64, index: u64, commands: Vec<Command>) -> RaftEntry {
    let seal = |(command, seq)| {
        let id = CommandId { incarnation: INCARNATION, seq: index * 10 + seq };
        Sealed::new(id, None, command).unwrap()
    };
    let entry = Entry::V1 {
        time: Timestamp(index * 1_000_000_000),
        settled: vec![],
        commands: commands.into_iter().zip(0..).map(seal).collect(),
    };
    let bytes = postcard::to_stdvec(&entry).unwrap();
    RaftEntry { log_id: log_id(term, index), payload: EntryPayload::Normal(EntryData(bytes.into())) }
}

/// The entries of a small history of one term: founding at 1, then variables.
pub(super) fn history(last: u64) -> Vec<RaftEntry> {
    (1..=last).map(|index| entry(log_id(1, index))).collect()
}

impl Opened {
    /// Appends and waits until it is durable.
    pub(super) async fn append(&mut self, entries: Vec<RaftEntry>) {
        self.log.blocking_append(entries).await.unwrap();
    }

    pub(super) async fn apply(&mut self, entries: Vec<RaftEntry>) {
        let entries = entries.into_iter().map(|entry| Ok((entry, None)));
        self.machine.apply(futures::stream::iter(entries)).await.unwrap();
    }

    /// Appends and applies.
    pub(super) async fn commit(&mut self, entries: Vec<RaftEntry>) {
        self.append(entries.clone()).await;
        self.apply(entries).await;
    }

    pub(super) async fn snapshot(&mut self) -> SnapshotHandle {
        let mut builder = self.machine.try_create_snapshot_builder(true).await.unwrap();
        builder.build().await.unwrap()
    }

    /// The log ids of the whole log.
    pub(super) async fn log_ids(&mut self) -> Vec<LogId> {
        use openraft::RaftLogReader;
        let entries = self.log.get_log_reader().await.try_get_log_entries(..).await.unwrap();
        entries.into_iter().map(|entry| entry.log_id).collect()
    }

    /// The names of all variables.
    pub(super) fn variables(&self) -> Vec<String> {
        self.machine.view().state().variables.iter().map(|(name, _)| name.as_str().to_owned()).collect()
    }

    /// Sends a snapshot here, in chunks, as the network would.
    pub(super) async fn receive(&self, snapshot: &SnapshotHandle) -> std::io::Result<SnapshotHandle> {
        let mut receiver = self.store.receive_snapshot(&snapshot.manifest_bytes())?;
        for (file, len) in snapshot.files() {
            let mut offset = 0;
            while offset < len {
                let bytes = snapshot.read(file, offset, 10_000)?;
                receiver.chunk(file, offset, &bytes)?;
                offset += bytes.len() as u64;
            }
        }
        receiver.finish().await
    }
}
