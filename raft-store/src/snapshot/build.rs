//! Building a snapshot of this node's own state.

use std::{io, sync::Arc};

use openraft::{RaftSnapshotBuilder, Snapshot};

use super::{DB, FOLDER, MANIFEST, Manifest, SnapshotHandle, Snapshots, manifest, sync_all};
use crate::{
    engine::{Disk, join},
    generation::Generation,
    rows, runtime,
    type_config::{SnapshotMeta, TypeConfig},
};

/// A checkpoint that becomes a snapshot. It was taken between two apply batches; what is left to do runs beside apply.
pub(crate) struct SnapshotBuilder {
    snapshots: Arc<Snapshots>,
    /// The folder, or why there is none; taken by the build.
    checkpoint: Option<io::Result<Checkpoint>>,
}

struct Checkpoint {
    path: String,
    number: u64,
}

impl SnapshotBuilder {
    /// Takes the checkpoint. The caller must hold apply up meanwhile; how long that is depends on how much was written since the
    /// engine was last flushed, which is why a snapshot that can wait is preceded by a flush (`Store::prepare_snapshot`).
    pub(crate) async fn start(snapshots: Arc<Snapshots>, generation: Arc<Generation>) -> Self {
        let taking = Arc::clone(&snapshots);
        let checkpoint = runtime::spawn_blocking(move || taking.checkpoint(&generation)).await.flatten();
        Self { snapshots, checkpoint: Some(checkpoint) }
    }

    /// Builds the snapshot: reads from the checkpoint what it holds, writes the manifest, makes all durable and offers it.
    ///
    /// # Errors
    /// The disk failed, or nothing was applied yet.
    pub(crate) async fn build(&mut self) -> io::Result<SnapshotHandle> {
        let taken = self.checkpoint.take().ok_or_else(|| io::Error::other("a snapshot is built once"))?;
        let checkpoint = taken?;
        let snapshots = Arc::clone(&self.snapshots);
        runtime::spawn_blocking(move || snapshots.finish(&checkpoint)).await.flatten()
    }
}

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    type SnapshotData = SnapshotHandle;

    async fn build_snapshot(
        &mut self,
    ) -> io::Result<openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotHandle>> {
        let snapshot = self.build().await?;
        let meta: SnapshotMeta = snapshot.manifest().meta();
        Ok(Snapshot { meta, snapshot })
    }
}

impl Snapshots {
    fn checkpoint(&self, generation: &Generation) -> io::Result<Checkpoint> {
        let number = self.number();
        let path = join(FOLDER, &format!("building-{number:06}"));
        self.disk.create_dir(&path)?;
        generation.engine().checkpoint(&join(&path, DB))?;
        Ok(Checkpoint { path, number })
    }

    fn finish(&self, checkpoint: &Checkpoint) -> io::Result<SnapshotHandle> {
        let disk: &dyn Disk = &*self.disk;
        let db = join(&checkpoint.path, DB);
        let mut values = disk.read_closed(&db, &[rows::APPLIED_KEY, rows::MEMBERSHIP_KEY])?.into_iter();
        let Some(Some(applied)) = values.next() else {
            disk.remove_dir_all(&checkpoint.path)?;
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing was applied yet"));
        };
        let applied = rows::decode_applied(&applied)?;
        let membership = values.next().flatten().map(|value| rows::decode_membership(&value)).transpose()?;
        let manifest = Manifest {
            last_log_id: applied.log_id,
            membership: membership.unwrap_or_default(),
            checksum: applied.checksum,
            files: manifest::list_files(disk, &db)?,
        };
        if capstan_model::mutant!("snapshot-not-synced") {
            disk.write(&join(&checkpoint.path, MANIFEST), &manifest.encode())?;
        } else {
            sync_all(disk, &checkpoint.path, &manifest)?;
        }
        let snapshot = self.offer(&checkpoint.path, manifest, checkpoint.number)?;
        tracing::info!(index = applied.log_id.index(), "snapshot built");
        Ok(snapshot)
    }
}
