//! Receiving a snapshot from another node.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use bytes::Bytes;

use super::{DB, FOLDER, Manifest, SnapshotDir, SnapshotHandle, manifest::corrupt, sync_all};
use crate::{
    engine::{Disk, join},
    runtime,
};

/// A snapshot on its way in. Dropped before it is complete, it leaves nothing behind.
pub(crate) struct SnapshotReceiver {
    disk: Arc<dyn Disk>,
    path: String,
    manifest: Manifest,
    number: u64,
    /// How much of each file is there, in bytes.
    received: Vec<u64>,
    is_finished: bool,
}

impl SnapshotReceiver {
    pub(super) fn new(disk: Arc<dyn Disk>, manifest: &Bytes, number: u64) -> io::Result<Self> {
        let manifest = Manifest::decode(manifest)?;
        let path = join(FOLDER, &format!("receiving-{number:06}"));
        let received = vec![0; manifest.files.len()];
        // From here on a failure drops it, and it removes what it has made.
        let receiver = Self { disk, path, manifest, number, received, is_finished: false };
        receiver.disk.create_dir(&receiver.path)?;
        let db = join(&receiver.path, DB);
        receiver.disk.create_dir(&db)?;
        for file in &receiver.manifest.files {
            receiver.disk.write(&join(&db, &file.name), &[])?;
        }
        Ok(receiver)
    }

    /// Appends a chunk. One that was received before is passed over, so a sender may repeat itself.
    ///
    /// # Errors
    /// The chunk is of no file of the manifest, leaves a gap or goes past the file's end; or the disk failed.
    pub(crate) fn chunk(&mut self, file: u32, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let unexpected =
            || corrupt(format!("unexpected chunk of {} bytes at {offset} of file {file}", bytes.len()));
        let number = file as usize;
        let expected = self.manifest.files.get(number).ok_or_else(unexpected)?;
        let end = offset.checked_add(bytes.len() as u64).ok_or_else(unexpected)?;
        let received = &mut self.received[number];
        if end <= *received {
            return Ok(());
        }
        if offset != *received || end > expected.len {
            return Err(unexpected());
        }
        self.disk.append(&join(&join(&self.path, DB), &expected.name), bytes)?;
        *received = end;
        Ok(())
    }

    /// Checks every file and makes all durable. The snapshot is not offered before it is installed.
    ///
    /// # Errors
    /// A file is not what the manifest says, or the disk failed.
    pub(crate) async fn finish(mut self) -> io::Result<SnapshotHandle> {
        runtime::spawn_blocking(move || {
            self.manifest.check_files(&*self.disk, &join(&self.path, DB))?;
            sync_all(&*self.disk, &self.path, &self.manifest)?;
            let path = join(FOLDER, &format!("received-{:06}", self.number));
            self.disk.rename(&self.path, &path)?;
            self.is_finished = true;
            let snapshot = SnapshotDir::new(Arc::clone(&self.disk), path, self.manifest.clone(), self.number);
            snapshot.is_temporary.store(true, Ordering::Release);
            Ok(Arc::new(snapshot))
        })
        .await
        .flatten()
    }
}

impl Drop for SnapshotReceiver {
    fn drop(&mut self) {
        if !self.is_finished
            && let Err(error) = self.disk.remove_dir_all(&self.path)
        {
            tracing::warn!(path = self.path, %error, "an unfinished snapshot could not be removed");
        }
    }
}
