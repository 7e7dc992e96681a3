//! The newest checksums of the live rows, by which nodes notice that they differ.

use std::{collections::VecDeque, sync::Mutex};

use capstan_model::state::State;

/// A checksum is kept at every index divisible by this, so that nodes have indexes in common.
const EVERY: u64 = 1_024;
/// How many are kept: a node that lags by this many thousand entries finds no index to compare.
const KEPT_MAX: usize = 16;

/// Checksums at the newest indexes divisible by 1,024.
#[derive(Debug, Default)]
pub(crate) struct Checksums(Mutex<VecDeque<(u64, u128)>>);

impl Checksums {
    /// Notes the checksum of the state as the entry at `index` has left it, if its turn has come.
    pub(crate) fn applied(&self, index: u64, state: &State) {
        if index == 0 || !index.is_multiple_of(EVERY) {
            return;
        }
        let mut kept = self.0.lock().expect("nothing panics while holding it");
        kept.push_back((index, state.checksum()));
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
    }

    /// Index and checksum, oldest first.
    pub(crate) fn all(&self) -> Vec<(u64, u128)> {
        self.0.lock().expect("nothing panics while holding it").iter().copied().collect()
    }
}
