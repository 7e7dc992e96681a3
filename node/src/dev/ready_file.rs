//! The file that tells scripts where the nodes are.

use std::{io, path::Path};

use serde::Serialize;

use super::{layout, layout::Place};

#[derive(Debug, Serialize)]
struct ReadyFile<'a> {
    nodes: Vec<ReadyNode<'a>>,
}

#[derive(Debug, Serialize)]
struct ReadyNode<'a> {
    id: usize,
    url: String,
    /// The node's own process, not its guardian.
    pid: u32,
    data_dir: &'a Path,
}

/// Replaces the file at `path` in one step.
///
/// # Errors
/// It cannot be written.
pub(super) fn write<'a>(path: &Path, nodes: impl Iterator<Item = (&'a Place, u32)>) -> io::Result<()> {
    let nodes = nodes
        .map(|(place, pid)| ReadyNode { id: place.id, url: place.url(), pid, data_dir: &place.directory })
        .collect();
    let text = serde_json::to_vec_pretty(&ReadyFile { nodes }).map_err(io::Error::other)?;
    layout::write_whole(path, &text)
}
