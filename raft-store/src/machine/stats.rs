//! What can be seen of the state machine from outside: checksums, by which nodes notice that their states differ.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
};

use capstan_model::state::State;

/// A checksum is kept at every index divisible by this, so that nodes have indexes in common.
const EVERY: u64 = 1_024;
/// How many are kept: a node that lags by this many thousand entries finds no index to compare.
const KEPT_MAX: usize = 16;

/// Checksums of the live rows at the newest indexes divisible by 1,024.
#[derive(Debug, Default)]
pub(crate) struct MachineStats {
    checksums: Mutex<VecDeque<(u64, u128)>>,
}

impl MachineStats {
    /// Notes the checksum of the state as the entry at `index` has left it, if its turn has come.
    pub(super) fn applied(&self, index: u64, state: &State) {
        if index == 0 || !index.is_multiple_of(EVERY) {
            return;
        }
        let mut kept = self.lock();
        kept.push_back((index, state.checksum()));
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
    }

    /// The newest: index and checksum.
    pub(crate) fn checksum(&self) -> Option<(u64, u128)> {
        self.lock().back().copied()
    }

    /// The checksum at one index, if it is among the newest.
    pub(crate) fn checksum_at(&self, index: u64) -> Option<u128> {
        self.lock().iter().find(|(at, _)| *at == index).map(|(_, checksum)| *checksum)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(u64, u128)>> {
        self.checksums.lock().expect("nothing panics while holding it")
    }
}
