//! What is wrong with a disk that loses nothing: it is slow, fails, is full, or takes no changes.

use std::{io, time::Duration};

use capstan_raft_store::engine::Space;
use rand::{RngExt, rngs::SmallRng};
use tokio::time::Instant;

/// How a disk behaves beside losing things.
#[derive(Debug, Clone)]
pub struct DiskManner {
    /// The shortest and longest time one sync of an engine takes.
    pub sync: (Duration, Duration),
}

impl Default for DiskManner {
    fn default() -> Self {
        Self { sync: (Duration::from_millis(1), Duration::from_millis(3)) }
    }
}

/// Something that fails once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Once {
    /// A sync; what it was for is lost in a power cut, and later ones succeed.
    Sync,
    /// A write.
    Write,
    /// A read.
    Read,
}

/// The size of every disk, in bytes.
const TOTAL: u64 = 1 << 41;
/// A disk that failed a write, and whose node goes on for longer, was trusted again.
const STOPS_WITHIN: Duration = Duration::from_secs(1);

/// What is wrong with a disk now.
#[derive(Debug, Default)]
pub(super) struct Ills {
    pub(super) manner: DiskManner,
    /// What fails next.
    pub(super) next_fails: Vec<Once>,
    /// What can still be written, in bytes; `None` is plenty.
    pub(super) room: Option<u64>,
    pub(super) is_read_only: bool,
    /// When something first failed in the present life of the node.
    hurt_at: Option<Instant>,
    /// When a change first failed in the present life of the node.
    change_failed_at: Option<Instant>,
    /// Whether a node went on after that.
    was_trusted_again: bool,
}

impl Ills {
    /// The node is another one, the disk is the same.
    pub(super) fn new_life(&mut self) {
        self.next_fails.clear();
        (self.hurt_at, self.change_failed_at) = (None, None);
    }

    /// All is well again.
    pub(super) fn heal(&mut self) {
        self.manner = DiskManner::default();
        self.next_fails.clear();
        self.room = None;
        self.is_read_only = false;
    }

    /// Whether anything has failed in the present life of the node.
    pub(super) fn is_hurt(&self) -> bool {
        self.hurt_at.is_some()
    }

    /// Notes that something is damaged, and was found so.
    pub(super) fn hurt(&mut self) {
        self.hurt_at.get_or_insert_with(Instant::now);
    }

    /// Whether a node went on after a change had failed; asks once.
    pub(super) fn take_trusted_again(&mut self) -> bool {
        std::mem::take(&mut self.was_trusted_again)
    }

    pub(super) fn sync_takes(&self, rng: &mut SmallRng) -> Duration {
        let (least, most) = self.manner.sync;
        rng.random_range(least..=most)
    }

    pub(super) fn space(&self) -> Space {
        Space { free: self.room.unwrap_or(TOTAL / 2), total: TOTAL }
    }

    /// Reads.
    pub(super) fn read(&mut self) -> io::Result<()> {
        if self.fails(Once::Read) {
            self.hurt();
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }

    /// Writes so many bytes.
    pub(super) fn write(&mut self, bytes: usize) -> io::Result<()> {
        self.change()?;
        if self.fails(Once::Write) {
            return self.fail(EIO);
        }
        let Some(room) = &mut self.room else { return Ok(()) };
        match room.checked_sub(bytes as u64) {
            Some(rest) => {
                *room = rest;
                Ok(())
            }
            None => self.fail(ENOSPC),
        }
    }

    /// Changes names.
    pub(super) fn change(&mut self) -> io::Result<()> {
        let is_late = |at: Instant| at.elapsed() > STOPS_WITHIN;
        self.was_trusted_again |= self.change_failed_at.is_some_and(is_late);
        if self.is_read_only { self.fail(EROFS) } else { Ok(()) }
    }

    /// Syncs.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.fails(Once::Sync) {
            return self.fail(EIO);
        }
        self.change()
    }

    fn fails(&mut self, once: Once) -> bool {
        let found = self.next_fails.iter().position(|next| *next == once);
        found.map(|at| self.next_fails.remove(at)).is_some()
    }

    fn fail(&mut self, error: i32) -> io::Result<()> {
        self.hurt();
        self.change_failed_at.get_or_insert_with(Instant::now);
        Err(io::Error::from_raw_os_error(error))
    }
}

/// Linux's numbers of these errors.
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const EROFS: i32 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_what_fits_and_is_full_until_it_is_healed() {
        let mut ills = Ills { room: Some(10), ..Ills::default() };
        assert!(ills.write(8).is_ok() && !ills.is_hurt());
        assert_eq!(ills.space().free, 2);
        assert_eq!(ills.write(3).map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull));
        assert!(ills.is_hurt());
        ills.heal();
        assert!(ills.write(1_000_000).is_ok());
    }

    #[test]
    fn what_fails_once_succeeds_again() {
        let mut ills = Ills { next_fails: vec![Once::Read, Once::Sync], ..Ills::default() };
        assert!(ills.write(1).is_ok());
        assert!(ills.read().is_err() && ills.read().is_ok());
        assert!(ills.sync().is_err() && ills.sync().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_goes_on_after_a_failed_change_is_told_of() {
        let mut ills = Ills { next_fails: vec![Once::Write], ..Ills::default() };
        assert!(ills.write(1).is_err());
        tokio::time::advance(2 * STOPS_WITHIN).await;
        assert!(!ills.take_trusted_again(), "it did nothing since");
        assert!(ills.write(1).is_ok());
        assert!(ills.take_trusted_again() && !ills.take_trusted_again());
        ills.new_life();
        assert!(ills.write(1).is_ok() && !ills.take_trusted_again());
    }
}
