//! The archives a cell has fetched. Those with a cache key stay for the next instance, as long as there is room.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use crate::guardian::instance_spec::InstanceId;

/// How much is kept, in bytes.
pub(super) const BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;

/// What the names of archives with a cache key begin with.
const CACHED: &str = "cache-";

/// Where an archive is kept: under its cache key, or as the instance's own, which is removed with it.
pub(super) fn path(folder: &Path, cache_key: &str, instance: InstanceId) -> PathBuf {
    match cache_key {
        "" => folder.join(instance.to_string()),
        key => folder.join(format!("{CACHED}{:032x}", xxhash_rust::xxh3::xxh3_128(key.as_bytes()))),
    }
}

/// Where an archive is while it is fetched.
pub(super) fn part(folder: &Path, instance: InstanceId, number: u32) -> PathBuf {
    folder.join(format!("{instance}-{number}.part"))
}

/// What the server said about an archive, beside it.
pub(super) fn validators(archive: &Path) -> PathBuf {
    archive.with_extension("validators")
}

/// Removes what is an instance's own.
pub(super) fn remove_of(folder: &Path, instance: InstanceId) -> io::Result<()> {
    let prefix = instance.to_string();
    remove_files(folder, |name| name.starts_with(&prefix))
}

/// Removes what is any instance's own.
pub(super) fn remove_uncached(folder: &Path) -> io::Result<()> {
    remove_files(folder, |name| !name.starts_with(CACHED))
}

fn remove_files(folder: &Path, is_one: impl Fn(&str) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if is_one(&entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes what was fetched longest ago until there is no more than `bytes_max`; `spared` and what is not cached stays.
pub(super) fn trim(folder: &Path, bytes_max: u64, spared: &Path) -> io::Result<()> {
    let mut archives: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_archive =
            entry.file_name().to_string_lossy().starts_with(CACHED) && entry.path().extension().is_none();
        if is_archive {
            let metadata = entry.metadata()?;
            archives.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    archives.sort();
    let mut bytes: u64 = archives.iter().map(|(_, bytes, _)| bytes).sum();
    for (_, length, path) in archives {
        if bytes <= bytes_max {
            break;
        }
        if path != spared {
            fs::remove_file(&path)?;
            bytes -= length;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const INSTANCE: InstanceId = InstanceId(7);

    #[test]
    fn the_oldest_archives_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let archives = ["a", "b", "c"].map(|key| path(folder.path(), key, INSTANCE));
        for (age, archive) in [3, 2, 1].into_iter().zip(&archives) {
            fs::write(archive, [0; 100]).unwrap();
            let written = SystemTime::now() - Duration::from_secs(age * 60);
            fs::File::options().append(true).open(archive).unwrap().set_modified(written).unwrap();
        }
        let left = || archives.iter().map(|archive| archive.exists()).collect::<Vec<_>>();
        trim(folder.path(), 300, &archives[2]).unwrap();
        assert_eq!(left(), [true, true, true]);
        trim(folder.path(), 250, &archives[0]).unwrap();
        assert_eq!(left(), [true, false, true]);
    }

    #[test]
    fn what_is_not_cached_goes_with_its_instance() {
        let folder = tempfile::tempdir().unwrap();
        let (own, cached) = (path(folder.path(), "", INSTANCE), path(folder.path(), "a", INSTANCE));
        let (part, other) = (part(folder.path(), INSTANCE, 3), path(folder.path(), "", InstanceId(8)));
        for file in [&own, &cached, &part, &other] {
            fs::write(file, "").unwrap();
        }
        remove_of(folder.path(), INSTANCE).unwrap();
        assert_eq!([&own, &cached, &part, &other].map(|file| file.exists()), [false, true, false, true]);
        remove_uncached(folder.path()).unwrap();
        assert_eq!([&cached, &other].map(|file| file.exists()), [true, false]);
        remove_uncached(&folder.path().join("missing")).unwrap();
    }
}
