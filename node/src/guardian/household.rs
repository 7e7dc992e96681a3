//! What all processes of one guardian share.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use nix::sys::resource::{Resource, getrlimit};

use super::environment;

/// The node a guardian works for, as its processes see it.
#[derive(Debug)]
pub(crate) struct Household {
    /// The data directory, canonical.
    pub(crate) data: PathBuf,
    /// Tells this data directory's processes from all others.
    pub(crate) directory_mark: OsString,
    /// The variables every process has.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Soft and hard limit of open files.
    pub(crate) open_files: (u64, u64),
}

impl Household {
    /// Looks at the data directory and at what this process was given.
    ///
    /// # Errors
    /// The data directory is missing.
    pub(crate) fn of(data: &Path) -> io::Result<Self> {
        Ok(Self {
            data: data.canonicalize()?,
            directory_mark: environment::directory_mark(data)?,
            environment: environment::usual(),
            open_files: getrlimit(Resource::RLIMIT_NOFILE)?,
        })
    }
}
