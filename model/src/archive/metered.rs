//! A reader that counts what is read, so that one step of a find ends after so much.

use std::cell::Cell;

use bytes::Bytes;

use crate::rows::RowReader;

/// Beginning to read somewhere costs about as much as reading so many rows on.
pub(super) const ROWS_OF_A_SCAN: usize = 32;
/// So does reading a row by its key.
const ROWS_OF_A_GET: usize = 16;

/// Rows, and how much more of them may be read. It refuses nothing: who reads asks it between one piece of work and the next.
pub(super) struct Metered<'a> {
    rows: &'a dyn RowReader,
    left: Cell<usize>,
}

impl<'a> Metered<'a> {
    pub(super) fn new(rows: &'a dyn RowReader, rows_max: usize) -> Self {
        Self { rows, left: Cell::new(rows_max) }
    }

    /// Whether as much has been read as may be.
    pub(super) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    fn spend(&self, rows: usize) {
        self.left.set(self.left.get().saturating_sub(rows));
    }
}

impl RowReader for Metered<'_> {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.spend(ROWS_OF_A_GET);
        self.rows.get(key)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        let rows = self.rows.scan(from, to, limit);
        self.spend(ROWS_OF_A_SCAN + rows.len());
        rows
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<(Bytes, Bytes)> {
        let rows = self.rows.scan_back(from, to, limit);
        self.spend(ROWS_OF_A_SCAN + rows.len());
        rows
    }
}
