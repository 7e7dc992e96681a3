//! Which finished requests are kept, as State knows it: a count, without any of their rows.

use serde::{Deserialize, Serialize};

use super::trim::TrimRequests;
use crate::{
    ids::RequestId,
    rows::{self, Key, LoadError, RowSink, Table},
};

/// Which finished requests are kept. They are numbered in the order in which they ended, without gaps, and leave in that order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    first: u64,
    next: u64,
    /// How many logs of the first have left before it.
    logs_gone: u64,
}

impl Archive {
    /// The number of the oldest that is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the next that ends.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many are kept.
    pub fn count(&self) -> u64 {
        self.next - self.first
    }

    /// How many logs of the oldest, by job and then by try, have left already.
    pub fn logs_gone(&self) -> u64 {
        self.logs_gone
    }

    /// Reads its row.
    pub(crate) fn load_row(key: &[u8], value: &[u8]) -> Result<Self, LoadError> {
        let archive: Self = rows::decode(key, value)?;
        if archive.first > archive.next {
            let reason = format!("finished requests are kept from {} to {}", archive.first, archive.next);
            return Err(LoadError::Contradiction { reason });
        }
        Ok(archive)
    }

    /// Numbers a request that has ended.
    pub(crate) fn record(&mut self, request: RequestId, sink: &mut RowSink) {
        sink.archive(&end_key(self.next), &request);
        self.next += 1;
    }

    pub(crate) fn evolve_trimmed(&mut self, trimmed: &TrimRequests, sink: &mut RowSink) {
        for (number, whole) in (self.first..).zip(&trimmed.whole) {
            whole.remove(sink);
            if !mutant!("trimmed-number-left") {
                sink.remove_archived(&end_key(number));
            }
        }
        if !trimmed.whole.is_empty() {
            self.first += trimmed.whole.len() as u64;
            self.logs_gone = 0;
        }
        if let Some(part) = &trimmed.part {
            part.remove(sink);
            self.logs_gone += part.logs.len() as u64;
        }
    }

    /// Writes the row as it is now over this one; before the first request has ended there is none.
    pub(crate) fn replace_with(&self, now: &Self, sink: &mut RowSink) {
        let row = |archive: &Self| (*archive != Self::default()).then_some(*archive);
        sink.replace(&Key::new(Table::Archive), row(self).as_ref(), row(now).as_ref());
    }
}

/// The key of a number in the order of ends.
pub(super) fn end_key(number: u64) -> Key {
    Key::new(Table::ByEnd).u64(number)
}
