//! The newest log entries, kept in memory so that replication and apply seldom read the disk.

use std::collections::VecDeque;

use openraft::{EntryPayload, entry::RaftEntry as _};

use crate::type_config::RaftEntry;

/// What an entry is taken to cost beside its payload, in bytes.
const ENTRY_OVERHEAD_BYTES: usize = 128;

/// A run of entries without gaps that ends with the log's last; older ones leave when it grows over its bound.
#[derive(Debug)]
pub(super) struct EntryCache {
    entries: VecDeque<RaftEntry>,
    bytes: usize,
    bytes_max: usize,
}

/// What an entry weighs in memory and on the wire, roughly, in bytes.
pub(super) fn weight(entry: &RaftEntry) -> usize {
    ENTRY_OVERHEAD_BYTES
        + match &entry.payload {
            EntryPayload::Normal(data) => data.0.len(),
            EntryPayload::Blank | EntryPayload::Membership(_) => 0,
        }
}

impl EntryCache {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Adds the log's new last entry.
    pub(super) fn push(&mut self, entry: RaftEntry) {
        if self.entries.back().is_some_and(|last| last.index() + 1 != entry.index()) {
            self.clear();
        }
        self.bytes += weight(&entry);
        self.entries.push_back(entry);
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            self.pop_front();
        }
    }

    /// The index of the oldest entry here.
    pub(super) fn first(&self) -> Option<u64> {
        self.entries.front().map(RaftEntry::index)
    }

    /// The entries from `start` on and before `end`, as far as they are here.
    pub(super) fn range(&self, start: u64, end: u64) -> impl Iterator<Item = &RaftEntry> {
        let first = self.first().unwrap_or(end);
        let skipped = usize::try_from(start.saturating_sub(first)).unwrap_or(usize::MAX);
        self.entries.iter().skip(skipped).take_while(move |entry| entry.index() < end)
    }

    /// Forgets every entry from `index` on.
    pub(super) fn truncate_from(&mut self, index: u64) {
        while self.entries.back().is_some_and(|entry| entry.index() >= index) {
            let entry = self.entries.pop_back().expect("there is a last one");
            self.bytes -= weight(&entry);
        }
    }

    /// Forgets every entry up to `index`.
    pub(super) fn purge(&mut self, index: u64) {
        while self.first().is_some_and(|first| first <= index) {
            self.pop_front();
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }

    fn pop_front(&mut self) {
        let entry = self.entries.pop_front().expect("there is a first one");
        self.bytes -= weight(&entry);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::type_config::EntryData;

    fn entry(index: u64, len: usize) -> RaftEntry {
        let payload = EntryPayload::Normal(EntryData(Bytes::from(vec![0; len])));
        RaftEntry { log_id: openraft::LogId::new(1.into(), index), payload }
    }

    fn indexes(cache: &EntryCache, start: u64, end: u64) -> Vec<u64> {
        cache.range(start, end).map(RaftEntry::index).collect()
    }

    #[test]
    fn the_newest_entries_stay_within_the_bound() {
        let mut cache = EntryCache::new(4 * (ENTRY_OVERHEAD_BYTES + 100));
        for index in 10..20 {
            cache.push(entry(index, 100));
        }
        assert_eq!(indexes(&cache, 0, 100), [16, 17, 18, 19]);
        cache.push(entry(20, 1_000_000));
        assert_eq!(indexes(&cache, 0, 100), [20], "one entry is kept whatever its size");
    }

    #[test]
    fn truncated_and_purged_entries_are_forgotten() {
        let mut cache = EntryCache::new(1 << 20);
        for index in 0..10 {
            cache.push(entry(index, 1));
        }
        cache.truncate_from(7);
        cache.purge(2);
        assert_eq!(indexes(&cache, 0, 100), [3, 4, 5, 6]);
        assert_eq!(indexes(&cache, 5, 6), [5]);
        assert_eq!(indexes(&cache, 9, 12), [0; 0]);
        cache.push(entry(30, 1));
        assert_eq!(indexes(&cache, 0, 100), [30], "a gap empties it");
    }
}
