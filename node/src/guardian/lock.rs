//! The lock a guardian holds in its data directory while a process of its lives.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
};

/// The file `guardian.lock`; the lock itself ends with the guardian, however that ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
    held: bool,
}

impl Lock {
    /// Opens the file, made where it is missing, without taking the lock.
    ///
    /// # Errors
    /// The data directory is missing or cannot be written.
    pub(crate) fn open(data: &Path) -> io::Result<Self> {
        let path = data.join("guardian.lock");
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path)?;
        Ok(Self { file, held: false })
    }

    /// Takes the lock without waiting; false when another process holds it.
    ///
    /// # Errors
    /// The file system knows no locks.
    pub(crate) fn try_take(&mut self) -> io::Result<bool> {
        if !self.held {
            self.held = match self.file.try_lock() {
                Ok(()) => true,
                Err(TryLockError::WouldBlock) => false,
                Err(TryLockError::Error(error)) => return Err(error),
            };
        }
        Ok(self.held)
    }

    /// Whether this process has the lock.
    pub(crate) fn is_held(&self) -> bool {
        self.held
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// The operating system refuses, which it does not.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.held) {
            self.file.unlock()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let data = tempfile::tempdir().unwrap();
        let (mut first, mut second) = (Lock::open(data.path()).unwrap(), Lock::open(data.path()).unwrap());
        assert!(first.try_take().unwrap());
        assert!(first.try_take().unwrap(), "taking it twice is having it");
        assert!(!second.try_take().unwrap());
        first.release().unwrap();
        assert!(second.try_take().unwrap());
        drop(second);
        assert!(first.try_take().unwrap());
    }
}
