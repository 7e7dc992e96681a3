//! A request that has been trimmed is in no table and no index any more.
//!
//! The rows are followed as the log writes them; that all nodes write the same is compared elsewhere (`ledger.rs`).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use capstan_model::{
    event::Event,
    rows::{RowChange, Table},
};

use super::Invariant;
use crate::oracle::Observation;

/// Tables whose keys begin with a request: all that is kept of one when it has ended.
const OF_REQUESTS: [Table; 7] = [
    Table::FinishedRequest,
    Table::FinishedChain,
    Table::FinishedJobs,
    Table::JobLog,
    Table::FinishedTerms,
    Table::Decision,
    Table::FinishedData,
];
/// Tables whose keys end with one: the indexes, and what goes on with another.
const TO_REQUESTS: [Table; 7] = [
    Table::ByCreation,
    Table::ByType,
    Table::ByUser,
    Table::ByState,
    Table::ByArg,
    Table::ByLength,
    Table::ByRetryOf,
];
/// How many bytes a request's id has.
const ID_BYTES: usize = 12;

/// The rows of finished requests, by their ids.
#[derive(Default)]
pub(crate) struct TrimmedLeaveNothing {
    rows: BTreeMap<[u8; ID_BYTES], BTreeSet<Bytes>>,
    /// The rows of the order in which they ended.
    numbers: BTreeSet<Bytes>,
}

impl Invariant for TrimmedLeaveNothing {
    fn name(&self) -> &'static str {
        "nothing is left of a request that has been trimmed"
    }

    fn observe(&mut self, observation: &Observation<'_>) -> Result<(), String> {
        let Observation::Committed(committed) = observation else { return Ok(()) };
        for row in &committed.rows {
            self.follow(row);
        }
        for event in &committed.events {
            let Event::RequestsTrimmed(trimmed) = event else { continue };
            for id in trimmed.whole.iter().map(|whole| whole.indexed.id) {
                if let Some(left) = self.rows.get(&id.0) {
                    return Err(format!("index {}: of request {id} is left {left:?}", committed.index));
                }
            }
            let kept = committed.after.archive.count();
            if self.numbers.len() as u64 != kept {
                let (index, numbers) = (committed.index, self.numbers.len());
                return Err(format!(
                    "index {index}: {kept} requests are kept, and {numbers} numbers of them"
                ));
            }
        }
        Ok(())
    }
}

impl TrimmedLeaveNothing {
    fn follow(&mut self, row: &RowChange) {
        let (key, is_put) = match row {
            RowChange::Put { key, .. } => (key, true),
            RowChange::Delete { key } => (key, false),
        };
        let is_of = |table: &Table| key.first() == Some(&(*table as u8));
        if is_of(&Table::ByEnd) {
            if is_put {
                self.numbers.insert(key.clone())
            } else {
                self.numbers.remove(key)
            };
            return;
        }
        let id = if OF_REQUESTS.iter().any(is_of) {
            key[1..].first_chunk()
        } else if TO_REQUESTS.iter().any(is_of) {
            key.last_chunk()
        } else {
            return;
        };
        let id = *id.expect("these keys have an id");
        let rows = self.rows.entry(id).or_default();
        if is_put {
            rows.insert(key.clone())
        } else {
            rows.remove(key)
        };
        if rows.is_empty() {
            self.rows.remove(&id);
        }
    }
}
