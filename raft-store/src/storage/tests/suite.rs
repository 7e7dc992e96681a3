//! openraft's own storage suite.

use std::io;

use futures::Stream;
use openraft::{
    EntryPayload, OptionalSend, StorageError,
    storage::{EntryResponder, RaftStateMachine},
    testing::log::{StoreBuilder, Suite},
    type_config::alias::SnapshotOf,
};

use super::harness::Directory;
use crate::{
    log::LogStore,
    machine::StateMachine,
    snapshot::{SnapshotBuilder, SnapshotHandle},
    storage::Store,
    type_config::{LogId, RaftEntry, SnapshotMeta, StoredMembership, TypeConfig},
};

struct Builder;

/// A state machine that is sent foreign snapshots before it installs them, as the network does.
struct Networked {
    machine: StateMachine,
    store: Store,
    log: LogStore,
}

impl StoreBuilder<TypeConfig, LogStore, Networked, Directory> for Builder {
    async fn build(&self) -> Result<(Directory, LogStore, Networked), StorageError<TypeConfig>> {
        let directory = Directory::new();
        let opened = directory.open().await;
        // The suite purges without taking snapshots first.
        opened.log.allow_any_purge();
        let networked = Networked { machine: opened.machine, store: opened.store, log: opened.log.clone() };
        Ok((directory, opened.log, networked))
    }
}

impl RaftStateMachine<TypeConfig> for Networked {
    type SnapshotData = SnapshotHandle;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.machine.applied_state().await
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        self.machine.apply(entries).await
    }

    /// The suite purges entries that it has not applied; nobody else does.
    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder> {
        if let (None, Some(purged)) = (self.machine.applied(), self.log.purged()) {
            let entry = RaftEntry { log_id: purged, payload: EntryPayload::Blank };
            self.machine.apply(futures::stream::iter([Ok((entry, None))])).await.unwrap();
        }
        self.machine.try_create_snapshot_builder(force).await
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        self.machine.get_snapshot_builder().await
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotHandle) -> io::Result<()> {
        let mut receiver = self.store.receive_snapshot(&snapshot.manifest_bytes())?;
        for (file, len) in snapshot.files() {
            let bytes = snapshot.read(file, 0, len as usize)?;
            receiver.chunk(file, 0, &bytes)?;
        }
        self.machine.install_snapshot(meta, receiver.finish().await?).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<SnapshotOf<TypeConfig, SnapshotHandle>>> {
        self.machine.get_current_snapshot().await
    }
}

#[tokio::test]
async fn openraft_storage_suite_passes() {
    Suite::<TypeConfig, LogStore, Networked, Builder, Directory>::test_all(Builder).await.unwrap();
}
