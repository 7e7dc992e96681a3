//! The log as openraft sees it.

use std::{
    fmt::Debug,
    io,
    ops::{Bound, RangeBounds},
};

use capstan_model::{buggify, failpoint};
use futures::{Stream, StreamExt, stream};
use openraft::{
    LogState, OptionalSend, RaftLogReader,
    entry::RaftEntry as _,
    storage::{IOFlushed, RaftLogStorage},
};

use super::{LogStore, READ_BYTES_MAX, hole};
#[cfg(feature = "simulation")]
use crate::witness::{self, Step};
use crate::{
    engine::Batch,
    rows,
    type_config::{LogId, RaftEntry, TypeConfig, Vote},
};

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<RaftEntry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        self.read(start, end, usize::MAX)
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<RaftEntry>> {
        self.read(start, end, read_bytes_max())
    }

    /// Reads step by step: after a long absence a follower applies more than should be in memory at once.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = io::Result<RaftEntry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = bounds(&range);
        let log = self.clone();
        let steps = stream::unfold(Some(start), move |next| {
            let step = next.filter(|next| *next < end).map(|next| log.read(next, end, read_bytes_max()));
            async move {
                match step? {
                    Ok(entries) => {
                        let next = entries.last()?.index() + 1;
                        Some((entries.into_iter().map(Ok).collect::<Vec<_>>(), Some(next)))
                    }
                    Err(error) => Some((vec![Err(error)], None)),
                }
            }
        });
        // openraft looks once more after the end.
        Box::pin(steps.flat_map(stream::iter).fuse())
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.tail().vote)
    }
}

/// How much one read may return, in bytes; one entry comes in any case.
fn read_bytes_max() -> usize {
    if buggify!("buggify: a read of the log ends early") { 1 } else { READ_BYTES_MAX }
}

fn bounds(range: &impl RangeBounds<u64>) -> (u64, u64) {
    let start = match range.start_bound() {
        Bound::Included(start) => *start,
        Bound::Excluded(before) => before.saturating_add(1),
        Bound::Unbounded => 0,
    };
    let end = match range.end_bound() {
        Bound::Included(last) => last.saturating_add(1),
        Bound::Excluded(end) => *end,
        Bound::Unbounded => u64::MAX,
    };
    (start, end)
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let tail = self.tail();
        Ok(LogState { last_purged_log_id: tail.purged, last_log_id: tail.last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    /// Readers see the vote only once it is durable.
    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.put(rows::VOTE_KEY, rows::encode_vote(vote));
        self.tail().put_committed(&mut batch);
        failpoint!("vote: not written");
        self.shared.engine.write(batch)?;
        #[cfg(feature = "simulation")]
        witness::saw(&Step::VoteWritten(witness::ballot(vote)));
        failpoint!("vote: not durable");
        if !capstan_model::mutant!("vote-not-synced") {
            self.sync().await?;
        }
        #[cfg(feature = "simulation")]
        witness::saw(&Step::VoteSaved(witness::ballot(vote)));
        self.tail().vote = Some(*vote);
        failpoint!("vote: not answered");
        Ok(())
    }

    /// Best effort: it is written together with the next entries or vote, so it is never ahead of the entries it names.
    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        let mut tail = self.tail();
        tail.committed = committed;
        tail.committed_is_unwritten = committed.is_some();
        #[cfg(feature = "simulation")]
        if let Some(committed) = committed {
            witness::saw(&Step::Committed(witness::position(committed)));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        Ok(self.tail().committed)
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<RaftEntry> = entries.into_iter().collect();
        let mut batch = Batch::default();
        let mut last = self.last();
        #[cfg(feature = "simulation")]
        let mut shown = Vec::with_capacity(entries.len());
        for entry in &entries {
            if let Some(last) = last
                && last.index() + 1 != entry.index()
            {
                return Err(hole(last.index() + 1, entry.index()));
            }
            let value = rows::encode_entry(entry);
            self.shared.meter.add(value.len());
            #[cfg(feature = "simulation")]
            shown.push(witness::row(entry, value.clone()));
            batch.put(rows::entry_key(entry.index()), value);
            last = Some(entry.log_id);
        }
        self.tail().put_committed(&mut batch);
        failpoint!("append: not written");
        self.shared.engine.write(batch)?;
        #[cfg(feature = "simulation")]
        witness::saw(&Step::Appended(&shown));
        failpoint!("append: not durable");
        {
            let mut tail = self.tail();
            tail.last = last;
            entries.into_iter().for_each(|entry| tail.cache.push(entry));
        }
        let flushed = self.flushed();
        let truncations = flushed.truncations();
        if let Some(last) = last
            && capstan_model::mutant!("flushed-noted-at-write")
        {
            flushed.reported(last.index(), truncations);
        }
        self.ask_sync(Box::new(move |result| {
            if let (Ok(()), Some(last)) = (&result, last) {
                flushed.reported(last.index(), truncations);
            }
            failpoint!("append: not reported");
            callback.io_completed(result);
            failpoint!("append: reported");
        }));
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let from = last_log_id.map_or(0, |last| last.index() + 1);
        if self.last().is_none_or(|last| last.index() < from) {
            return Ok(());
        }
        capstan_model::sometimes!("entries of a deposed leader truncated");
        self.shared.flushed.truncated(last_log_id.map(|last| last.index()));
        let mut batch = Batch::default();
        if !capstan_model::mutant!("truncated-in-memory-only") {
            batch.delete_range(rows::entry_key(from), rows::entries_end());
        }
        self.shared.engine.write(batch)?;
        {
            let mut tail = self.tail();
            tail.cache.truncate_from(from);
            tail.last = last_log_id.max(tail.purged);
        }
        #[cfg(feature = "simulation")]
        witness::saw(&Step::Truncated(self.last().map(witness::position)));
        failpoint!("truncation: not durable");
        Ok(())
    }

    /// Refuses to remove what no durable snapshot holds: after a crash the state may be older than it is now, and could
    /// not be brought forward again.
    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        if !self.shared.snapshot.covers(log_id.index()) {
            return Err(io::Error::other(format!(
                "purge up to {log_id} refused: the newest durable snapshot ends before it"
            )));
        }
        let mut batch = Batch::default();
        if !capstan_model::mutant!("purged-not-stored") {
            batch.put(rows::PURGED_KEY, rows::encode_log_id(log_id));
        }
        batch.delete_range(rows::entry_key(0), rows::entry_key(log_id.index() + 1));
        self.tail().put_committed(&mut batch);
        failpoint!("purge: not written");
        self.shared.engine.write(batch)?;
        #[cfg(feature = "simulation")]
        witness::saw(&Step::Purged(witness::position(log_id)));
        failpoint!("purge: done");
        let mut tail = self.tail();
        capstan_model::sometimes!("log purged to its tip", tail.last == Some(log_id));
        capstan_model::sometimes!("log purged past its end", tail.last < Some(log_id));
        tail.purged = tail.purged.max(Some(log_id));
        tail.cache.purge(log_id.index());
        if tail.last.is_none_or(|last| last.index() < log_id.index()) {
            tail.last = Some(log_id);
        }
        Ok(())
    }
}
