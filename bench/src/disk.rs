//! What the disk itself can do: a file, an append, `fdatasync`, in a loop.

use std::{
    fs::OpenOptions,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;

/// Bytes of one append, about those of a small batch.
const APPEND_BYTES: usize = 512;

/// How many appends a second the file system under `directory` makes durable one after the other.
pub(crate) fn fsyncs_per_second(directory: &Path, during: Duration) -> anyhow::Result<f64> {
    let path = directory.join("fsync-probe");
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    let begun = Instant::now();
    let mut syncs = 0_u32;
    while begun.elapsed() < during {
        file.write_all(&[b'x'; APPEND_BYTES])?;
        file.sync_data()?;
        syncs += 1;
    }
    let rate = f64::from(syncs) / begun.elapsed().as_secs_f64();
    std::fs::remove_file(&path)?;
    Ok(rate)
}
