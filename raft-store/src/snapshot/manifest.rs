//! The list of what a snapshot holds, with a hash for each file.

use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::{
    engine::{Disk, join},
    rows::{self, MembersAt, StoredLogId},
    type_config::{LogId, SnapshotMeta, StoredMembership},
};

/// How much of a file is read at a time, in bytes.
const READ_BYTES: usize = 1 << 20;

/// What a snapshot holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Manifest {
    /// The last entry in it.
    pub(crate) last_log_id: LogId,
    /// The membership as of that entry.
    pub(crate) membership: StoredMembership,
    /// The checksum of its live rows.
    pub(crate) checksum: u128,
    /// Its files, sorted by name.
    pub(crate) files: Vec<SnapshotFile>,
}

/// One file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotFile {
    /// Its name, without a folder.
    pub(crate) name: String,
    /// Its length in bytes.
    pub(crate) len: u64,
    /// The XXH3-128 of its content.
    pub(crate) hash: u128,
}

#[derive(Serialize, Deserialize)]
enum StoredManifest {
    V1 { last: StoredLogId, membership: MembersAt, checksum: u128, files: Vec<SnapshotFile> },
}

impl Manifest {
    pub(crate) fn encode(&self) -> Bytes {
        let stored = StoredManifest::V1 {
            last: self.last_log_id.into(),
            membership: (&self.membership).into(),
            checksum: self.checksum,
            files: self.files.clone(),
        };
        rows::seal(&stored, &[])
    }

    /// # Errors
    /// The bytes are damaged, of an unknown version, or name a file outside the snapshot's folder.
    pub(crate) fn decode(bytes: &Bytes) -> io::Result<Self> {
        let StoredManifest::V1 { last, membership, checksum, files } = rows::decode(bytes)?;
        if let Some(file) = files.iter().find(|file| !is_plain(&file.name)) {
            return Err(corrupt(format!("the manifest names the file {:?}", file.name)));
        }
        Ok(Self { last_log_id: last.into(), membership: membership.into(), checksum, files })
    }

    /// What openraft wants to know of a snapshot.
    pub(crate) fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: Some(self.last_log_id), last_membership: self.membership.clone() }
    }

    /// Checks that every file is there in its length, without reading it.
    ///
    /// # Errors
    /// A file is missing, or longer or shorter than it was; or the disk failed.
    pub(super) fn check_lengths(&self, disk: &dyn Disk, folder: &str) -> io::Result<()> {
        for file in &self.files {
            let len = disk.file_len(&join(folder, &file.name))?;
            if len != file.len {
                return Err(corrupt(format!(
                    "file {} of the snapshot has {len} bytes, not {}",
                    file.name, file.len
                )));
            }
        }
        Ok(())
    }

    /// Checks that a folder holds exactly these files.
    ///
    /// # Errors
    /// A file is missing, too many, or not what it was; or the disk failed.
    pub(crate) fn check_files(&self, disk: &dyn Disk, folder: &str) -> io::Result<()> {
        let found = list_files(disk, folder)?;
        if found == self.files || capstan_model::mutant!("snapshot-not-compared") {
            return Ok(());
        }
        let odd = found.iter().find(|file| !self.files.contains(file)).map(|file| &file.name);
        let missing = || self.files.iter().find(|file| !found.contains(file)).map(|file| &file.name);
        let name = odd.or_else(missing).map_or("?", String::as_str);
        Err(corrupt(format!("file {name} of the snapshot is not what the manifest says")))
    }
}

/// Measures and hashes every file of a folder.
///
/// # Errors
/// The disk failed.
pub(crate) fn list_files(disk: &dyn Disk, folder: &str) -> io::Result<Vec<SnapshotFile>> {
    let names = disk.list(folder)?;
    names.into_iter().map(|name| measure(disk, folder, name)).collect()
}

fn measure(disk: &dyn Disk, folder: &str, name: String) -> io::Result<SnapshotFile> {
    let path = join(folder, &name);
    let mut hasher = Xxh3::new();
    let mut len = 0;
    loop {
        let bytes = disk.read(&path, len, READ_BYTES)?;
        if bytes.is_empty() {
            return Ok(SnapshotFile { name, len, hash: hasher.digest128() });
        }
        hasher.update(&bytes);
        len += bytes.len() as u64;
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains('/')
}

pub(crate) fn corrupt(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
