//! Reading the state back from its rows.

use std::io;

use capstan_model::{
    rows::{ARCHIVE_FROM, Table},
    state::State,
};

use crate::{
    engine::{Direction, Engine, Row},
    rows::{self, Applied},
    type_config::StoredMembership,
};

/// How many rows are read at a time.
const READ_ROWS: usize = 1_024;

/// What a state engine holds.
pub(crate) struct Loaded {
    pub(crate) state: State,
    pub(crate) applied: Option<Applied>,
    pub(crate) membership: StoredMembership,
}

/// Reads the live rows and checks them against the index and the checksum that were written with them.
///
/// # Errors
/// The disk failed, or the rows are damaged.
pub(crate) fn load(engine: &dyn Engine) -> io::Result<Loaded> {
    let applied = engine.get(rows::APPLIED_KEY)?.map(|value| rows::decode_applied(&value)).transpose()?;
    let membership =
        engine.get(rows::MEMBERSHIP_KEY)?.map(|value| rows::decode_membership(&value)).transpose()?;
    let mut live = LiveRows::new(engine);
    let state = State::load(&mut live);
    live.failure?;
    let state = state.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let recorded = applied.as_ref().map_or((0, 0), |applied| (applied.log_id.index(), applied.checksum));
    if (state.index(), state.checksum()) != recorded {
        let reason = format!(
            "the rows are of index {} with checksum {:032x}, but were written as index {} with checksum {:032x}",
            state.index(),
            state.checksum(),
            recorded.0,
            recorded.1,
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(Loaded { state, applied, membership: membership.unwrap_or_default() })
}

/// The live rows in key order. It ends early at a failure, which is looked for afterwards.
struct LiveRows<'a> {
    engine: &'a dyn Engine,
    /// Where the next read starts; `None` after the last.
    next: Option<Vec<u8>>,
    ready: std::vec::IntoIter<Row>,
    failure: io::Result<()>,
}

impl<'a> LiveRows<'a> {
    fn new(engine: &'a dyn Engine) -> Self {
        Self {
            engine,
            next: Some(vec![Table::Store as u8 + 1]),
            ready: Vec::new().into_iter(),
            failure: Ok(()),
        }
    }

    fn read_on(&mut self) -> io::Result<()> {
        let Some(from) = self.next.take() else { return Ok(()) };
        let rows = self.engine.scan(&from, &[ARCHIVE_FROM], READ_ROWS, Direction::Forward)?;
        if rows.len() == READ_ROWS {
            self.next = rows.last().map(|(key, _)| [key, &[0_u8][..]].concat());
        }
        self.ready = rows.into_iter();
        Ok(())
    }
}

impl Iterator for LiveRows<'_> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        if self.ready.len() == 0
            && let Err(error) = self.read_on()
        {
            self.failure = Err(error);
        }
        self.ready.next()
    }
}
