//! The one snapshot that may be on its way in, and who sends it.

use std::{
    io,
    sync::{Mutex, MutexGuard},
};

use bytes::Bytes;
use capstan_model::{failpoint, ids::NodeId};

use crate::{
    snapshot::{SnapshotHandle, SnapshotReceiver},
    storage::Store,
};

/// Who sends, and the sender's number for the transfer.
type TransferId = (NodeId, u64);

/// Receives one snapshot at a time: a new transfer drops an unfinished one.
pub(crate) struct IncomingSnapshot {
    store: Store,
    current: Mutex<Option<(TransferId, SnapshotReceiver)>>,
}

impl IncomingSnapshot {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, current: Mutex::new(None) }
    }

    /// Opens a transfer.
    pub(crate) fn begin(&self, id: TransferId, manifest: &Bytes) -> io::Result<()> {
        let mut current = self.lock();
        capstan_model::sometimes!("unfinished snapshot replaced by another", current.is_some());
        // The old one removes its files when dropped, before the new one makes its own.
        *current = None;
        *current = Some((id, self.store.receive_snapshot(manifest)?));
        Ok(())
    }

    /// Takes a chunk.
    pub(crate) fn chunk(&self, id: TransferId, file: u32, offset: u64, bytes: &[u8]) -> io::Result<()> {
        match self.lock().as_mut() {
            Some((current, receiver)) if *current == id => {
                failpoint!("snapshot: being received");
                receiver.chunk(file, offset, bytes)
            }
            _ => Err(superseded()),
        }
    }

    /// Ends a transfer: checks all and makes it durable.
    pub(crate) async fn end(&self, id: TransferId) -> io::Result<SnapshotHandle> {
        let receiver = self.lock().take_if(|(current, _)| *current == id).map(|(_, receiver)| receiver);
        receiver.ok_or_else(superseded)?.finish().await
    }

    fn lock(&self) -> MutexGuard<'_, Option<(TransferId, SnapshotReceiver)>> {
        self.current.lock().expect("no holder of this lock panics")
    }
}

fn superseded() -> io::Error {
    io::Error::other("this transfer was not opened, or another has taken its place")
}
