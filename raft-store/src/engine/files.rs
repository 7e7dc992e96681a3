//! The file half of [`RocksDisk`](super::RocksDisk), on the host's file system.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::disk_space::Space;

/// A directory of the host's file system.
#[derive(Debug)]
pub(super) struct HostFiles {
    root: PathBuf,
}

impl HostFiles {
    /// Creates the directory when it is missing.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.canonicalize()? })
    }

    pub(super) fn path(&self, path: &str) -> PathBuf {
        if path.is_empty() { self.root.clone() } else { self.root.join(path) }
    }

    pub(super) fn create_dir(&self, path: &str) -> io::Result<()> {
        let path = self.path(path);
        match fs::create_dir(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            other => other,
        }
    }

    pub(super) fn list(&self, path: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.path(path))? {
            let name = entry?.file_name().into_string();
            names.push(name.map_err(|name| io::Error::other(format!("{} is not UTF-8", name.display())))?);
        }
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn file_len(&self, path: &str) -> io::Result<u64> {
        fs::metadata(self.path(path)).map(|data| data.len())
    }

    pub(super) fn read(&self, path: &str, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut file = File::open(self.path(path))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(len);
        file.take(len as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.path(path), bytes)
    }

    pub(super) fn append(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().create(true).append(true).open(self.path(path))?.write_all(bytes)
    }

    /// Also right for folders: Linux syncs what was opened.
    pub(super) fn sync(&self, path: &str) -> io::Result<()> {
        File::open(self.path(path))?.sync_all()
    }

    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    pub(super) fn link(&self, from: &str, to: &str) -> io::Result<()> {
        fs::hard_link(self.path(from), self.path(to))
    }

    pub(super) fn copy(&self, from: &str, to: &str) -> io::Result<()> {
        fs::copy(self.path(from), self.path(to)).map(drop)
    }

    pub(super) fn remove_dir_all(&self, path: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.path(path)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    pub(super) fn space(&self) -> io::Result<Space> {
        let stat = nix::sys::statvfs::statvfs(&self.root)?;
        let unit = stat.fragment_size();
        Ok(Space {
            free: stat.blocks_available().saturating_mul(unit),
            total: stat.blocks().saturating_mul(unit),
        })
    }
}
