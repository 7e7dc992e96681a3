//! Whose data directory this is, and how often it was opened.
//!
//! The file `identity` names the node, the disk and, once it is known, the cluster. Its boot count is raised, durably, each time the
//! directory is opened and before the node says anything, so that no two lives of a node are taken for one.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use capstan_model::ids::{ClusterId, DiskId, Incarnation, NodeId};
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Disk, read_file, replace_file},
    rows,
};

/// The file's name.
const FILE: &str = "identity";

/// Who a node is: its data directory and the life it lives on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The cluster whose data the directory holds; `None` before the node has met one.
    pub cluster: Option<ClusterId>,
    /// The node it belongs to.
    pub node: NodeId,
    /// Drawn when it was first opened.
    pub disk: DiskId,
    /// The life that began when it was opened, or later.
    pub incarnation: Incarnation,
}

/// What a data directory says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DirectoryIdentity {
    pub(crate) cluster: Option<ClusterId>,
    pub(crate) node: NodeId,
    pub(crate) disk: DiskId,
    /// How many lives began on it.
    pub(crate) boot: u64,
}

#[derive(Serialize, Deserialize)]
enum Stored {
    V1 { cluster: Option<ClusterId>, node: NodeId, disk: DiskId, boot: u64 },
}

/// Why a directory's identity was not changed.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The directory belongs to another cluster; its data must not be mixed with this one's.
    #[error("the data directory belongs to cluster {here}, not to {other}")]
    OtherCluster {
        /// Whose data it holds.
        here: ClusterId,
        /// Whose it was to hold.
        other: ClusterId,
    },
    /// The disk failed.
    #[error("the identity could not be written")]
    Disk(#[source] io::Error),
}

/// The identity file of an open data directory.
pub(crate) struct IdentityFile {
    disk: Arc<dyn Disk>,
    current: Mutex<DirectoryIdentity>,
}

/// Reads a directory's identity; `None` when it was never opened.
///
/// # Errors
/// The file is damaged or of an unknown version, or the disk failed.
pub(crate) fn read(disk: &dyn Disk) -> io::Result<Option<DirectoryIdentity>> {
    if !disk.exists(FILE)? {
        return Ok(None);
    }
    let Stored::V1 { cluster, node, disk, boot } = rows::decode(&read_file(disk, FILE)?)?;
    Ok(Some(DirectoryIdentity { cluster, node, disk, boot }))
}

impl IdentityFile {
    /// Starts from what was read, or from what a new directory is to say; nothing is written yet.
    pub(crate) fn new(disk: Arc<dyn Disk>, identity: DirectoryIdentity) -> Self {
        Self { disk, current: Mutex::new(identity) }
    }

    /// Starts a new life of the node: raises the boot count, durably. `nonce` is random, so that a directory restored from
    /// an old copy is not taken for the life it repeats.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn start_life(&self, nonce: u64) -> io::Result<Identity> {
        let mut current = self.lock();
        let raised = DirectoryIdentity { boot: current.boot + 1, ..*current };
        self.write(&raised)?;
        *current = raised;
        let DirectoryIdentity { cluster, node, disk, boot } = raised;
        Ok(Identity { cluster, node, disk, incarnation: Incarnation { node, boot, nonce } })
    }

    /// Records which cluster's data the directory holds; repeats change nothing.
    ///
    /// # Errors
    /// It holds another one's, or the disk failed.
    pub(crate) fn set_cluster(&self, cluster: ClusterId) -> Result<(), IdentityError> {
        let mut current = self.lock();
        match current.cluster {
            Some(here) if here == cluster => Ok(()),
            Some(here) => Err(IdentityError::OtherCluster { here, other: cluster }),
            None => {
                let joined = DirectoryIdentity { cluster: Some(cluster), ..*current };
                self.write(&joined).map_err(IdentityError::Disk)?;
                *current = joined;
                Ok(())
            }
        }
    }

    fn write(&self, identity: &DirectoryIdentity) -> io::Result<()> {
        let &DirectoryIdentity { cluster, node, disk, boot } = identity;
        replace_file(&*self.disk, "", FILE, &rows::seal(&Stored::V1 { cluster, node, disk, boot }, &[]))
    }

    fn lock(&self) -> MutexGuard<'_, DirectoryIdentity> {
        self.current.lock().expect("nothing panics while holding it")
    }
}
