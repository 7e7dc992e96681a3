//! A view: the state at one index, and the archive as it was then.

use std::{io, sync::Arc};

use bytes::Bytes;
use capstan_model::{
    rows::{ARCHIVE_FROM, RowReader, written_at},
    state::State,
};

use crate::{
    engine::{Direction, Health, Row},
    generation::Generation,
};

/// The state at one index. Cheap to clone, never changes, and holds nothing up.
///
/// It keeps the database it was read from alive, so an installed snapshot takes effect for later views only.
#[derive(Clone)]
pub struct View(Arc<Inner>);

struct Inner {
    state: State,
    generation: Arc<Generation>,
    health: Health,
}

impl View {
    pub(crate) fn new(state: State, generation: Arc<Generation>, health: Health) -> Self {
        Self(Arc::new(Inner { state, generation, health }))
    }

    /// Everything that is live.
    pub fn state(&self) -> &State {
        &self.0.state
    }

    /// The log index of the last entry in it; 0 before the first.
    pub fn index(&self) -> u64 {
        self.0.state.index()
    }

    /// Whether the row was there at this view's index. Rows are written before their view is published, so newer ones are met.
    fn saw(&self, (key, value): &Row) -> io::Result<bool> {
        if key.first().is_none_or(|table| *table < ARCHIVE_FROM) {
            return Ok(true);
        }
        let index = written_at(key, value).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        Ok(index <= self.index())
    }

    fn find(&self, key: &[u8]) -> io::Result<Option<Bytes>> {
        let Some(value) = self.0.generation.engine().get(key)? else {
            return Ok(None);
        };
        let row = (Bytes::copy_from_slice(key), value);
        Ok(self.saw(&row)?.then_some(row.1))
    }

    /// Reads on, past the rows it leaves out, until it has `limit` rows or there are no more.
    fn collect(&self, from: &[u8], to: &[u8], limit: usize, direction: Direction) -> io::Result<Vec<Row>> {
        let (mut from, mut to) = (Bytes::copy_from_slice(from), Bytes::copy_from_slice(to));
        let mut seen = Vec::new();
        while seen.len() < limit && from < to {
            let wanted = limit - seen.len();
            let rows = self.0.generation.engine().scan(&from, &to, wanted, direction)?;
            let is_end = rows.len() < wanted;
            if let Some((last, _)) = rows.last() {
                match direction {
                    Direction::Forward => from = [last, &[0_u8][..]].concat().into(),
                    Direction::Backward => to = last.clone(),
                }
            }
            for row in rows {
                if self.saw(&row)? {
                    seen.push(row);
                }
            }
            if is_end {
                break;
            }
        }
        Ok(seen)
    }

    /// A disk that cannot be read stops the node; until it has, the archive looks empty.
    fn or_stop<T: Default>(&self, what: &str, result: io::Result<T>) -> T {
        result.unwrap_or_else(|error| {
            self.0.health.fail(what, &error);
            T::default()
        })
    }
}

impl RowReader for View {
    fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.or_stop("read a row", self.find(key))
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<Row> {
        self.or_stop("read rows", self.collect(from, to, limit, Direction::Forward))
    }

    fn scan_back(&self, from: &[u8], to: &[u8], limit: usize) -> Vec<Row> {
        self.or_stop("read rows", self.collect(from, to, limit, Direction::Backward))
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("index", &self.index()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use capstan_model::{
        apply::apply_blank,
        rows::{Key, RowChange, RowSink, Table},
    };

    use super::*;
    use crate::{
        engine::{Batch, Disk, RocksDisk},
        generation::{self, Found},
        ports::FatalSink,
    };

    struct Ignored;

    impl FatalSink for Ignored {
        fn fatal(&self, _reason: &str) {}
    }

    fn key(number: u64) -> Key {
        Key::new(Table::ByCreation).u64(number)
    }

    /// A view at index 5 of an archive whose row `n` was written at index `n`, up to 9.
    fn view(folder: &std::path::Path) -> View {
        let disk: Arc<dyn Disk> = Arc::new(RocksDisk::open(folder).unwrap());
        let generation = generation::open(&disk, Found::Nothing).unwrap();
        for index in 0..10 {
            let mut sink = RowSink::new(index);
            sink.archive(&key(index), &());
            let mut batch = Batch::default();
            for change in sink.finish().0 {
                let RowChange::Put { key, value } = change else { unreachable!("rows are only added") };
                batch.put(key, value);
            }
            generation.engine().write(batch).unwrap();
        }
        let mut state = State::default();
        apply_blank(&mut state, 5, 1);
        View::new(state, Arc::new(generation), Health::new(Arc::new(Ignored)))
    }

    #[test]
    fn rows_from_after_the_view_are_left_out() {
        let folder = tempfile::TempDir::new().unwrap();
        let view = view(folder.path());
        let seen: Vec<bool> = (0..10).map(|index| view.get(&key(index)).is_some()).collect();
        assert_eq!(seen, [true, true, true, true, true, true, false, false, false, false]);
        let keys = |rows: Vec<Row>| rows.into_iter().map(|(key, _)| u64::from(key[8])).collect::<Vec<_>>();
        let (from, to) = (key(0), key(100));
        assert_eq!(keys(view.scan(&from, &to, 100)), [0, 1, 2, 3, 4, 5]);
        assert_eq!(keys(view.scan(&from, &to, 2)), [0, 1]);
        assert_eq!(keys(view.scan(&key(4), &to, 3)), [4, 5]);
        assert_eq!(
            keys(view.scan_back(&from, &to, 3)),
            [5, 4, 3],
            "newer rows do not count against the limit"
        );
        assert_eq!(keys(view.scan_back(&from, &key(3), 2)), [2, 1]);
        assert_eq!(view.scan(&to, &from, 3), vec![]);
    }
}
