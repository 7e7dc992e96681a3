//! Plans that once failed, each a file of its own: a seed alone means another run as soon as the code changes.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;

use crate::plan::Plan;

/// The folder that comes with the simulator.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Reads every plan in a folder, in the order of the file names.
///
/// # Errors
/// The folder or a file cannot be read, or a file is not a plan.
pub fn read(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Plan)>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "ron"));
    paths.sort_unstable();
    paths.into_iter().map(|path| Ok((path.clone(), Plan::read(&path)?))).collect()
}
