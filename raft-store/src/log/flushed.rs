//! How far the log is known to be durable, and how much of it there is.

use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

/// The highest log index whose flush was reported, and is still in the log.
#[derive(Debug, Default)]
pub(crate) struct Flushed(Mutex<FlushedUpto>);

#[derive(Debug, Default)]
struct FlushedUpto {
    index: Option<u64>,
    /// Counts truncations: an append from before one says nothing about the log after it.
    truncations: u64,
}

impl Flushed {
    /// The index; `None` when nothing was flushed yet.
    pub(crate) fn index(&self) -> Option<u64> {
        self.lock().index
    }

    /// How often the log was truncated so far.
    pub(super) fn truncations(&self) -> u64 {
        self.lock().truncations
    }

    /// Notes a flush that was asked for when `truncations` were counted.
    pub(super) fn reported(&self, index: u64, truncations: u64) {
        let mut upto = self.lock();
        if upto.truncations == truncations {
            upto.index = upto.index.max(Some(index));
        }
    }

    /// Notes that the log ends at `last` now.
    pub(super) fn truncated(&self, last: Option<u64>) {
        let mut upto = self.lock();
        upto.truncations += 1;
        if !capstan_model::mutant!("flushed-not-lowered") {
            upto.index = upto.index.min(last);
        }
    }

    fn lock(&self) -> MutexGuard<'_, FlushedUpto> {
        self.0.lock().expect("nothing panics while holding it")
    }
}

/// Counts the bytes of entries that were appended since this node was opened, and of those found then that were in no snapshot.
#[derive(Debug, Default)]
pub(crate) struct LogMeter(AtomicU64);

impl LogMeter {
    /// The count, in bytes.
    pub(crate) fn bytes_appended(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
