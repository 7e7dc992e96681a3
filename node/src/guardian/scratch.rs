//! The folder each process has to itself while it is registered: `DATA/jobs/KEY`.
//!
//! `capstan __exec` makes it, the process writes there, and the node reads and removes it: the guardian never waits
//! for a disk.

use std::path::{Path, PathBuf};

use super::key::ProcessKey;

/// Where the scratch folders of a data directory are.
pub fn root(data: &Path) -> PathBuf {
    data.join("jobs")
}

/// The scratch folder of a process.
pub fn folder(data: &Path, key: &ProcessKey) -> PathBuf {
    root(data).join(key.to_string())
}

/// The file named by `CAPSTAN_RESULT`, to which a process may write one JSON object.
pub fn result_file(data: &Path, key: &ProcessKey) -> PathBuf {
    folder(data, key).join("result")
}

/// The file named by `CAPSTAN_STATUS`, to which a process may append lines.
pub fn status_file(data: &Path, key: &ProcessKey) -> PathBuf {
    folder(data, key).join("status")
}
