//! Rows in memory, as a reader of the archive wants them.

use std::collections::BTreeMap;

use bytes::Bytes;
use capstan_model::rows::RowReader;

/// Rows in memory, read as the store's view reads them.
pub(crate) struct MemoryRows<'a>(pub(crate) &'a BTreeMap<Bytes, Bytes>);

impl RowReader for MemoryRows<'_> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.0.get(key).cloned()
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        let range = self.0.range(Bytes::copy_from_slice(from)..Bytes::copy_from_slice(to));
        range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        let range = self.0.range(Bytes::copy_from_slice(from)..Bytes::copy_from_slice(to));
        range.rev().take(limit).map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}
