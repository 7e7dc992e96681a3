//! The files of one output: `FOLDER/0000000001.log` and on, each begun when the one before was full or old.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// How much is kept of one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// A file is full once it has this many bytes.
    pub segment_bytes: u64,
    /// The most files, the one being written included.
    pub segments_max: usize,
    /// What is older may be removed; a file is begun anew after a quarter of it, so that a file goes in time.
    pub age_max: Duration,
}

/// 10 MiB and a week: a busy evening's output, or all of a quiet one's.
impl Default for Bounds {
    fn default() -> Self {
        Self { segment_bytes: 1024 * 1024, segments_max: 10, age_max: Duration::from_secs(7 * 24 * 60 * 60) }
    }
}

/// The numbers of the files there are, oldest first; none when the folder is missing.
pub(super) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Where a file is.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.log"))
}

/// Removes the files that are too many, or whose last line is too old. The newest is spared.
pub(super) fn trim(folder: &Path, bounds: &Bounds, now: SystemTime) -> io::Result<()> {
    let numbers = list(folder)?;
    let Some((_, closed)) = numbers.split_last() else { return Ok(()) };
    let too_many = numbers.len().saturating_sub(bounds.segments_max);
    for (place, number) in closed.iter().enumerate() {
        let path = path(folder, *number);
        let is_old = || {
            let written = fs::metadata(&path)?.modified()?;
            io::Result::Ok(now.duration_since(written).is_ok_and(|age| age > bounds.age_max))
        };
        if place < too_many || is_old()? {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Removes the outputs below `root`, a folder for each index in one for each LRP, to which nobody has written for `age_max`.
/// Blocks; a root that is missing holds none.
///
/// # Errors
/// Something cannot be looked at or removed.
pub fn remove_old(root: &Path, age_max: Duration) -> io::Result<()> {
    let now = SystemTime::now();
    for lrp in folders(root)? {
        for index in folders(&lrp)? {
            let last_file = list(&index)?.last().map(|number| path(&index, *number));
            let written = fs::metadata(last_file.as_ref().unwrap_or(&index))?.modified()?;
            if now.duration_since(written).is_ok_and(|age| age > age_max) {
                fs::remove_dir_all(&index)?;
            }
        }
        if folders(&lrp)?.is_empty() {
            fs::remove_dir(&lrp)?;
        }
    }
    Ok(())
}

fn folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    entries.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_nobody_writes_to_are_removed() {
        let root = tempfile::tempdir().unwrap();
        for output in ["a/0", "a/1", "b/0"] {
            fs::create_dir_all(root.path().join(output)).unwrap();
            fs::write(path(&root.path().join(output), 1), "").unwrap();
        }
        let long_ago = SystemTime::now() - Duration::from_secs(1_000);
        for output in ["a/0", "b/0"] {
            let file = fs::File::options().append(true).open(path(&root.path().join(output), 1)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        remove_old(root.path(), Duration::from_secs(500)).unwrap();
        let left = ["a/0", "a/1", "b"].map(|output| root.path().join(output).exists());
        assert_eq!(left, [false, true, false]);
        remove_old(&root.path().join("missing"), Duration::ZERO).unwrap();
    }
}
