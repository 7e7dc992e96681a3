//! Whose data directory this is, and how often it was opened.
//!
//! The file `identity` names the node, the disk and, once it is known, the cluster. Its boot count is raised, durably, each time the
//! directory is opened and before the node says anything, so that no two lives of a node are taken for one.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use capstan_model::ids::{ClusterId, DiskId, NodeId};
use serde::{Deserialize, Serialize};

use crate::{
    engine::{Disk, read_file, replace_file},
    rows,
};

/// The file's name.
const FILE: &str = "identity";

/// What a data directory says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The cluster whose data it holds; `None` before the node has met one.
    pub cluster: Option<ClusterId>,
    /// The node it belongs to.
    pub node: NodeId,
    /// Drawn when it was first opened.
    pub disk: DiskId,
    /// How often it was opened, or its node started a new life; from 1.
    pub boot: u64,
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
    current: Mutex<Identity>,
}

/// Reads a directory's identity; `None` when it was never opened.
///
/// # Errors
/// The file is damaged or of an unknown version, or the disk failed.
pub(crate) fn read(disk: &dyn Disk) -> io::Result<Option<Identity>> {
    if !disk.exists(FILE)? {
        return Ok(None);
    }
    let Stored::V1 { cluster, node, disk, boot } = rows::decode(&read_file(disk, FILE)?)?;
    Ok(Some(Identity { cluster, node, disk, boot }))
}

impl IdentityFile {
    /// Starts from what was read, or from a new directory's identity; nothing is written yet.
    pub(crate) fn new(disk: Arc<dyn Disk>, identity: Identity) -> Self {
        Self { disk, current: Mutex::new(identity) }
    }

    pub(crate) fn get(&self) -> Identity {
        *self.lock()
    }

    /// Starts a new life: raises the boot count, durably, and gives the identity as it is then.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn raise_boot(&self) -> io::Result<Identity> {
        let mut current = self.lock();
        let raised = Identity { boot: current.boot + 1, ..*current };
        let is_written_later = capstan_model::mutant!("boot-count-not-stored") && current.boot > 0;
        if !is_written_later {
            self.write(&raised)?;
        }
        *current = raised;
        Ok(raised)
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
                let joined = Identity { cluster: Some(cluster), ..*current };
                self.write(&joined).map_err(IdentityError::Disk)?;
                *current = joined;
                Ok(())
            }
        }
    }

    fn write(&self, identity: &Identity) -> io::Result<()> {
        let &Identity { cluster, node, disk, boot } = identity;
        replace_file(&*self.disk, "", FILE, &rows::seal(&Stored::V1 { cluster, node, disk, boot }, &[]))
    }

    fn lock(&self) -> MutexGuard<'_, Identity> {
        self.current.lock().expect("nothing panics while holding it")
    }
}
