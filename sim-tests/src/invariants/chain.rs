//! What is known of log entries: how each was written, and which one came before it.

use std::collections::BTreeMap;

use capstan_raft_store::witness::{LogRow, Position, Step};
use xxhash_rust::xxh3::xxh3_64;

/// Every entry that was ever in a log, and where each node's log ends.
#[derive(Default)]
pub(super) struct Chain {
    entries: BTreeMap<Position, Link>,
    last: BTreeMap<u64, Position>,
}

/// An entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The hash of the bytes it is written as.
    pub(super) written: u64,
    /// The entry before it; `None` before the first.
    pub(super) before: Option<Position>,
}

impl Chain {
    /// Takes note of what a node does to its log.
    ///
    /// # Errors
    /// An entry follows on another than it did in another log, or is written otherwise; or its place or term does not follow at all.
    pub(super) fn heed(&mut self, node: u64, step: &Step<'_>) -> Result<(), String> {
        match step {
            Step::LogOpened { purged, rows, .. } => {
                self.ends_at(node, *purged);
                self.add(node, rows)
            }
            Step::Appended(rows) => self.add(node, rows),
            Step::Truncated(last) => {
                self.ends_at(node, *last);
                Ok(())
            }
            Step::Restarted(behind) => {
                self.ends_at(node, Some(*behind));
                Ok(())
            }
            Step::Purged(upto) if self.last(node).is_none_or(|last| last.index < upto.index) => {
                self.ends_at(node, Some(*upto));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Where a node's log ends.
    pub(super) fn last(&self, node: u64) -> Option<Position> {
        self.last.get(&node).copied()
    }

    /// The entry of this name.
    pub(super) fn link(&self, at: Position) -> Option<Link> {
        self.entries.get(&at).copied()
    }

    /// The entries from this one back to the first, as far as they are known.
    pub(super) fn back_from(&self, at: Position) -> impl Iterator<Item = (Position, Link)> {
        std::iter::successors(Some(at), |at| self.link(*at)?.before)
            .map_while(|at| Some((at, self.link(at)?)))
    }

    fn ends_at(&mut self, node: u64, last: Option<Position>) {
        match last {
            Some(last) => self.last.insert(node, last),
            None => self.last.remove(&node),
        };
    }

    fn add(&mut self, node: u64, rows: &[LogRow]) -> Result<(), String> {
        let mut first = Ok(());
        for row in rows {
            first = first.and(self.add_one(node, row));
            self.last.insert(node, row.at);
        }
        first
    }

    fn add_one(&mut self, node: u64, row: &LogRow) -> Result<(), String> {
        let (at, before) = (row.at, self.last(node));
        if before.is_some_and(|before| before.index + 1 != at.index || before.term > at.term) {
            return Err(format!("in the log of node {node} {at:?} follows on {before:?}"));
        }
        let link = Link { written: xxh3_64(&row.value), before };
        let known = *self.entries.entry(at).or_insert(link);
        if known == link { Ok(()) } else { Err(format!("{at:?} is {known:?}, and on node {node} {link:?}")) }
    }
}
