//! A folder for the data of one run, removed when it is over.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

/// How often removing the folder is tried: a database that closes in the background may write into it meanwhile.
const ATTEMPTS: u32 = 20;
/// How long to wait in between.
const PAUSE: Duration = Duration::from_millis(100);

/// The folder; dropped, it is removed with all that is in it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// Makes a new folder below `parent`.
    ///
    /// # Errors
    /// It cannot be made.
    pub(crate) fn below(parent: &Path) -> io::Result<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        fs::create_dir_all(parent)?;
        let path = parent.canonicalize()?.join(format!("capstan-bench-{}-{number}", process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        for attempt in 1..=ATTEMPTS {
            match fs::remove_dir_all(&self.0) {
                Ok(()) => return,
                Err(_) if attempt < ATTEMPTS => thread::sleep(PAUSE),
                Err(error) => eprintln!("bench: cannot remove {}: {error}", self.0.display()),
            }
        }
    }
}
