//! Which files below the jobs directory are plugins.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Caller, Plugin};
use crate::{executor::Executor, jobs::JobTypes};

/// The most plugins of a node: each report to the leader names them.
const PLUGINS_MAX: usize = 256;
/// What the names of built-in types begin with that take no slot.
const RESERVED: &str = "lrp/";
/// How many folders deep plugins are looked for.
const DEPTH_MAX: usize = 4;

/// Why a jobs directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// A file or folder cannot be looked at.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file that would be a plugin cannot be one.
    #[error("{} cannot be a job type: {reason}", path.display())]
    Unusable {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// There are too many.
    #[error("{} holds more than {PLUGINS_MAX} executables: is it a directory of job types?", path.display())]
    TooMany {
        /// The jobs directory.
        path: PathBuf,
    },
}

/// Adds every executable below `directory` to `types`, under its path within it, such as `host/stop`. Names that begin
/// with a dot are passed over, links to folders are not followed, and a link to a file must not lead out of the directory.
///
/// # Errors
/// Something cannot be read, or would be a plugin and cannot be one: then the node should not start.
pub fn discover(
    directory: &Path,
    executor: &Arc<dyn Executor>,
    types: &mut JobTypes,
) -> Result<(), DiscoverError> {
    let failed = |source| DiscoverError::Read { path: directory.to_owned(), source };
    let root = directory.canonicalize().map_err(failed)?;
    let mut found = Vec::new();
    collect(&root, &root, 0, &mut found)?;
    found.sort();
    let caller = Caller::new(Arc::clone(executor));
    for (name, program) in found {
        if types.get(&name).is_some() {
            return Err(DiscoverError::Unusable {
                path: program,
                reason: "a built-in one has the same name",
            });
        }
        types.add(Arc::new(Plugin::new(name.into(), program, caller.clone())));
    }
    Ok(())
}

fn collect(
    root: &Path,
    folder: &Path,
    depth: usize,
    found: &mut Vec<(String, PathBuf)>,
) -> Result<(), DiscoverError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| DiscoverError::Read { path, source }
    };
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        let path = entry.path();
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if entry.file_type().map_err(failed(&path))?.is_dir() {
            if depth < DEPTH_MAX {
                collect(root, &path, depth + 1, found)?;
            }
            continue;
        }
        let metadata = fs::metadata(&path).map_err(failed(&path))?;
        if !metadata.is_file() || metadata.permissions().mode() & 0o111 == 0 {
            continue;
        }
        let program = path.canonicalize().map_err(failed(&path))?;
        let unusable = |reason| DiscoverError::Unusable { path: path.clone(), reason };
        if !program.starts_with(root) {
            return Err(unusable("it is a link that leads out of the jobs directory"));
        }
        let name = path.strip_prefix(root).expect("it was found below the root").to_str();
        let (Some(name), Some(_)) = (name, program.to_str()) else {
            return Err(unusable("its name is not UTF-8"));
        };
        if name.starts_with(RESERVED) {
            return Err(unusable("names that begin with lrp/ are reserved for built-in types"));
        }
        found.push((name.to_owned(), program));
        if found.len() > PLUGINS_MAX {
            return Err(DiscoverError::TooMany { path: root.to_owned() });
        }
    }
    Ok(())
}
