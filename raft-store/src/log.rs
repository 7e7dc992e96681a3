//! The Raft log and the vote, on the log engine.
//!
//! Writes are issued in the order openraft asks for them and are visible at once; one flusher below makes them durable and
//! reports in that order. See `docs` of openraft, "io_ordering", for what that order protects.

mod cache;
mod flushed;
mod raft;

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use capstan_model::buggify;
use futures::channel::oneshot;
use openraft::entry::RaftEntry as _;

use self::cache::EntryCache;
pub(crate) use self::flushed::{Flushed, LogMeter};
#[cfg(feature = "simulation")]
use crate::witness::{self, Step};
use crate::{
    engine::{Batch, Direction, Engine, SyncDone},
    rows,
    snapshot::DurableSnapshot,
    type_config::{LogId, RaftEntry, Vote},
};

/// How much of the newest log is kept in memory, in bytes.
const CACHE_BYTES_MAX: usize = 64 << 20;
/// How much one read for replication returns at most, in bytes, unless a single entry is larger; half of a frame.
const READ_BYTES_MAX: usize = 8 << 20;
/// How many entries are read from the engine at a time.
const READ_ENTRIES: usize = 16;

/// The log of one node; clones share it. openraft writes through one clone and reads through others.
#[derive(Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<dyn Engine>,
    tail: Mutex<Tail>,
    flushed: Arc<Flushed>,
    snapshot: Arc<DurableSnapshot>,
    meter: Arc<LogMeter>,
}

/// What is known of the log without reading it.
struct Tail {
    purged: Option<LogId>,
    last: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    /// Set when `committed` is newer than what was written.
    committed_is_unwritten: bool,
    cache: EntryCache,
}

impl LogStore {
    /// Opens the log: reads all of it, checks every entry and that none is missing, and makes what was found durable.
    ///
    /// # Errors
    /// The disk failed, or an entry is damaged or missing.
    pub(crate) async fn open(engine: Arc<dyn Engine>, snapshot: Arc<DurableSnapshot>) -> io::Result<Self> {
        let read = |key, decode: fn(&bytes::Bytes) -> io::Result<LogId>| match engine.get(key)? {
            Some(value) => decode(&value).map(Some),
            None => Ok(None),
        };
        let purged = read(rows::PURGED_KEY, rows::decode_log_id)?;
        let committed = read(rows::COMMITTED_KEY, rows::decode_log_id)?;
        let vote = engine.get(rows::VOTE_KEY)?.map(|value| rows::decode_vote(&value)).transpose()?;
        let tail = Tail {
            purged,
            last: purged,
            vote,
            committed,
            committed_is_unwritten: false,
            cache: EntryCache::new(CACHE_BYTES_MAX),
        };
        let log = Self {
            shared: Arc::new(Shared {
                engine,
                tail: Mutex::new(tail),
                flushed: Arc::default(),
                snapshot,
                meter: Arc::default(),
            }),
        };
        log.check_all()?;
        log.sync().await?;
        if let Some(last) = log.last() {
            log.shared.flushed.reported(last.index(), 0);
        }
        #[cfg(feature = "simulation")]
        log.tell_opened()?;
        Ok(log)
    }

    /// What this node's log has reported as flushed.
    pub(crate) fn flushed(&self) -> Arc<Flushed> {
        Arc::clone(&self.shared.flushed)
    }

    /// Counts the bytes appended.
    pub(crate) fn meter(&self) -> Arc<LogMeter> {
        Arc::clone(&self.shared.meter)
    }

    /// The last entry, or the last one purged.
    pub(crate) fn last(&self) -> Option<LogId> {
        self.tail().last
    }

    /// The last entry that was removed from the front.
    pub(crate) fn purged(&self) -> Option<LogId> {
        self.tail().purged
    }

    /// Whether nothing was ever written here.
    pub(crate) fn is_untouched(&self) -> bool {
        let tail = self.tail();
        tail.last.is_none() && tail.vote.is_none()
    }

    /// Whether the entry is in the log, or was the last one purged.
    ///
    /// # Errors
    /// The disk failed, or what it holds is damaged.
    pub(crate) fn contains(&self, log_id: LogId) -> io::Result<bool> {
        if self.purged() == Some(log_id) {
            return Ok(true);
        }
        let found = self.read(log_id.index(), log_id.index() + 1, usize::MAX)?;
        Ok(found.first().is_some_and(|entry| entry.log_id == log_id))
    }

    /// Throws the whole log away and starts behind `applied`, durably. Right only for an entry that is committed, in a durable snapshot and
    /// not in this log: then what follows in the log was never committed.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) async fn restart_behind(&self, applied: LogId) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.put(rows::PURGED_KEY, rows::encode_log_id(applied));
        batch.delete(rows::COMMITTED_KEY);
        batch.delete_range(rows::entry_key(0), rows::entries_end());
        // What was flushed behind it was not what will stand there.
        self.shared.flushed.truncated(Some(applied.index()));
        self.shared.engine.write(batch)?;
        #[cfg(feature = "simulation")]
        witness::saw(&Step::Restarted(witness::position(applied)));
        {
            let mut tail = self.tail();
            tail.purged = Some(applied);
            tail.last = Some(applied);
            tail.committed = None;
            tail.cache.clear();
        }
        self.sync().await
    }

    /// Takes the snapshot for granted that a purge needs.
    #[cfg(test)]
    pub(crate) fn allow_any_purge(&self) {
        self.shared.snapshot.raise(u64::MAX);
    }

    /// Waits until everything written before is durable.
    async fn sync(&self) -> io::Result<()> {
        let (done, wait) = oneshot::channel();
        self.ask_sync(Box::new(move |result| {
            // Whoever waited may be gone; then nobody needs to know.
            drop(done.send(result));
        }));
        wait.await.map_err(|_| io::Error::other("the engine was closed before the sync ended"))?
    }

    /// Asks for everything written before to be made durable.
    fn ask_sync(&self, done: SyncDone) {
        #[cfg(feature = "simulation")]
        let done = witness::syncing(done);
        self.shared.engine.sync(done);
    }

    /// Shows all that was found.
    #[cfg(feature = "simulation")]
    fn tell_opened(&self) -> io::Result<()> {
        let rows = self.shared.engine.scan(
            &rows::entry_key(0),
            &rows::entries_end(),
            usize::MAX,
            Direction::Forward,
        )?;
        let row = |(_, value): (_, bytes::Bytes)| Ok(witness::row(&rows::decode_entry(&value)?, value));
        let rows = rows.into_iter().map(row).collect::<io::Result<Vec<_>>>()?;
        let tail = self.tail();
        witness::saw(&Step::LogOpened {
            purged: tail.purged.map(witness::position),
            committed: tail.committed.map(witness::position),
            vote: tail.vote.as_ref().map(witness::ballot),
            rows: &rows,
        });
        Ok(())
    }

    fn check_all(&self) -> io::Result<()> {
        let mut next = self.purged().map_or(0, |purged| purged.index() + 1);
        let mut first = true;
        loop {
            let rows = self.shared.engine.scan(
                &rows::entry_key(if first { 0 } else { next }),
                &rows::entries_end(),
                READ_ENTRIES,
                Direction::Forward,
            )?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut tail = self.tail();
            for (key, value) in rows {
                let entry = rows::decode_entry(&value)?;
                let index = entry.index();
                // A log that never lost its front may start anywhere: openraft decides where.
                let starts_here = first && tail.purged.is_none();
                if key != rows::entry_key(index) || (index != next && !starts_here) {
                    return Err(hole(next, index));
                }
                first = false;
                next = index + 1;
                if !self.shared.snapshot.covers(index) {
                    self.shared.meter.add(value.len());
                }
                tail.last = Some(entry.log_id);
                tail.cache.push(entry);
            }
        }
    }

    /// Reads the entries from `next` on and before `end`: as many as the log has, and at most `bytes_max` bytes but at least one. What is
    /// purged meanwhile is missing at the front, what is truncated at the back, and nothing in between.
    fn read(&self, next: u64, end: u64, bytes_max: usize) -> io::Result<Vec<RaftEntry>> {
        let (mut next, cached, uncached_end) = {
            let tail = self.tail();
            let next = next.max(tail.purged.map_or(0, |purged| purged.index() + 1));
            let end = end.min(tail.last.map_or(0, |last| last.index() + 1));
            let is_missed = buggify!("buggify: the cache of the log misses");
            let cached_end = if is_missed { next } else { end };
            let cached: Vec<RaftEntry> = tail.cache.range(next, cached_end).cloned().collect();
            let uncached_end = cached.first().map_or(end, RaftEntry::index);
            (next, cached, uncached_end)
        };
        let mut entries = Vec::new();
        let mut bytes = 0;
        while next < uncached_end {
            let rows = self.shared.engine.scan(
                &rows::entry_key(next),
                &rows::entry_key(uncached_end),
                READ_ENTRIES,
                Direction::Forward,
            )?;
            if rows.is_empty() {
                break;
            }
            for (_, value) in rows {
                let entry = rows::decode_entry(&value)?;
                if entry.index() != next {
                    if self.purged().is_none_or(|purged| purged.index() + 1 < entry.index())
                        && !entries.is_empty()
                    {
                        return Err(hole(next, entry.index()));
                    }
                    entries.clear();
                    bytes = 0;
                }
                bytes += cache::weight(&entry);
                if bytes > bytes_max && !entries.is_empty() {
                    return Ok(entries);
                }
                next = entry.index() + 1;
                entries.push(entry);
            }
        }
        if next < uncached_end && !entries.is_empty() {
            return Ok(entries);
        }
        for entry in cached {
            bytes += cache::weight(&entry);
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.shared.tail.lock().expect("nothing panics while holding it")
    }
}

impl Tail {
    /// Adds the committed log id to a write that happens anyway.
    fn put_committed(&mut self, batch: &mut Batch) {
        if let Some(committed) = self.committed
            && std::mem::take(&mut self.committed_is_unwritten)
        {
            batch.put(rows::COMMITTED_KEY, rows::encode_log_id(committed));
        }
    }
}

fn hole(expected: u64, found: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the log has a hole: entry {found} follows where {expected} should"),
    )
}
