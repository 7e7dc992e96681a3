//! The committed log, replayed beside the nodes: what each entry did, seen once, whichever node applied it first.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use capstan_model::{
    apply::{Applied, apply, apply_blank},
    auth::Author,
    command::{Command, Entry, Idempotency, Opened},
    event::Event,
    ids::CommandId,
    reply::Reply,
    rows::RowChange,
    state::State,
    workflow::event::WorkflowEvent,
};
use capstan_raft_store::witness::{Content, Position, Step};
use xxhash_rust::xxh3::{Xxh3, xxh3_64_with_seed};

/// What must hold of the entries that nodes apply.
const ONE_ENTRY: &str = "what is committed at an index is one entry";
/// What must hold of what entries do.
const DETERMINISTIC: &str = "an entry changes the same rows whenever and wherever it is applied";

/// What the entry at one index did.
pub struct Committed {
    /// Where in the log it is.
    pub index: u64,
    /// The term of the leader that appended it.
    pub term: u64,
    /// How each of its commands was sent.
    pub sent: Vec<Sent>,
    /// Its commands with their replies. One that was executed before has the reply it had then.
    pub commands: Vec<(Command, Reply)>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Which rows changed, in order.
    pub rows: Vec<RowChange>,
    /// The state before it.
    pub before: State,
    /// The state after it.
    pub after: State,
}

/// Under which names a command was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// By its proposer.
    pub id: CommandId,
    /// By its client.
    pub idempotency: Option<Idempotency>,
    /// For whom; `None` when the cluster itself proposed it.
    pub author: Option<Author>,
}

impl Committed {
    /// What happened to requests, in order.
    pub fn workflow(&self) -> impl Iterator<Item = &WorkflowEvent> {
        self.events.iter().filter_map(|event| match event {
            Event::Workflow(event) => Some(event),
            _ => None,
        })
    }
}

/// An invariant that does not hold, and what was seen.
pub(crate) type Broken = (&'static str, String);

/// Replays what nodes apply.
#[derive(Default)]
pub(crate) struct Ledger {
    state: State,
    /// Each entry and the rows it changed, as hashes.
    entries: BTreeMap<u64, Replayed>,
    /// Set once an entry could not be applied; nothing after it is replayed.
    is_broken: bool,
}

#[derive(Clone, Copy)]
struct Replayed {
    entry: u64,
    rows: u64,
}

impl Ledger {
    /// Takes note of what a node does; the result is what an entry did that is applied for the first time anywhere.
    ///
    /// # Errors
    /// Another entry was applied at this index, or none at the one before it; or an entry did not do what it did elsewhere.
    pub(crate) fn heed(&mut self, step: &Step<'_>) -> Result<Option<Committed>, Broken> {
        match *step {
            // Index 0 is the first membership, which every node begins with.
            _ if self.is_broken => Ok(None),
            Step::Applying { at, content } if at.index > 0 => self.applying(at, content),
            Step::Applied { index, rows } if index > 0 => self.applied(index, rows).map(|()| None),
            _ => Ok(None),
        }
    }

    fn applying(&mut self, at: Position, content: Content<'_>) -> Result<Option<Committed>, Broken> {
        let index = at.index;
        let bytes = match content {
            Content::Commands(bytes) => bytes,
            Content::Blank => &[],
        };
        let entry = xxh3_64_with_seed(bytes, at.term);
        if let Some(known) = self.entries.get(&index) {
            let differs = || (ONE_ENTRY, format!("another entry was applied before at index {index}"));
            return if known.entry == entry { Ok(None) } else { Err(differs()) };
        }
        let before = self.state.clone();
        if index != before.index() + 1 {
            let found =
                format!("entry {index} is applied, and the log known so far ends at {}", before.index());
            return Err((ONE_ENTRY, found));
        }
        let (mut sent, mut commands) = (Vec::new(), Vec::new());
        let applied = match content {
            Content::Blank => {
                let rows = apply_blank(&mut self.state, index, at.term);
                Applied { rows, ..Applied::default() }
            }
            Content::Commands(bytes) => {
                let entry: Entry = postcard::from_bytes(bytes).expect("what nodes apply can be decoded");
                let applied = self.apply_twice(index, &entry)?;
                let Entry::V1 { commands: sealed, .. } = entry;
                for (sealed, (_, reply)) in sealed.iter().zip(&applied.replies) {
                    let opened = sealed.open().expect("what nodes apply can be decoded");
                    let Opened { author, idempotency, command } = opened;
                    sent.push(Sent { id: sealed.id, idempotency, author });
                    commands.push((command, reply.clone()));
                }
                applied
            }
        };
        self.entries.insert(index, Replayed { entry, rows: hash(&applied.rows) });
        let Applied { events, rows, .. } = applied;
        let after = self.state.clone();
        Ok(Some(Committed { index, term: at.term, sent, commands, events, rows, before, after }))
    }

    /// Applies an entry, and once more to another copy of the state.
    fn apply_twice(&mut self, index: u64, entry: &Entry) -> Result<Applied, Broken> {
        let mut again = self.state.clone();
        let replay = catch_unwind(AssertUnwindSafe(|| apply(&mut self.state, index, entry)));
        let Ok(applied) = replay else {
            self.is_broken = true;
            return Err((DETERMINISTIC, format!("entry {index} cannot be applied: panic")));
        };
        let repeated = apply(&mut again, index, entry);
        if repeated == applied && again.checksum() == self.state.checksum() {
            return Ok(applied);
        }
        Err((DETERMINISTIC, format!("entry {index} did {applied:?} first, and {repeated:?} the second time")))
    }

    /// A node has applied an entry.
    fn applied(&self, index: u64, rows: &[RowChange]) -> Result<(), Broken> {
        match self.entries.get(&index) {
            Some(known) if known.rows != hash(rows) => {
                Err((DETERMINISTIC, format!("entry {index} changes other rows here: {rows:?}")))
            }
            _ => Ok(()),
        }
    }

    /// The state after everything that was applied anywhere.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }
}

fn hash(rows: &[RowChange]) -> u64 {
    let mut hash = Xxh3::new();
    for row in rows {
        let (key, value) = match row {
            RowChange::Put { key, value } => (key, Some(value)),
            RowChange::Delete { key } => (key, None),
        };
        for part in [Some(key), value] {
            // The length before the bytes keeps two parts from reading as one.
            hash.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_le_bytes());
            hash.update(part.map_or(&[], |part| part));
        }
    }
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applying(index: u64, term: u64) -> Step<'static> {
        Step::Applying { at: Position { term, index }, content: Content::Blank }
    }

    #[test]
    fn an_index_has_one_entry_and_none_is_left_out() {
        let mut ledger = Ledger::default();
        assert!(ledger.heed(&applying(1, 1)).is_ok_and(|it| it.is_some_and(|it| it.after.index() == 1)));
        assert!(ledger.heed(&applying(1, 1)).is_ok_and(|it| it.is_none()), "another node applies it too");
        assert!(ledger.heed(&applying(1, 2)).is_err_and(|(invariant, _)| invariant == ONE_ENTRY));
        assert!(ledger.heed(&applying(3, 2)).is_err_and(|(invariant, _)| invariant == ONE_ENTRY));
    }

    #[test]
    fn an_entry_changes_the_same_rows_on_every_node() {
        let mut ledger = Ledger::default();
        let rows = apply_blank(&mut State::default(), 1, 1);
        assert!(ledger.heed(&applying(1, 1)).is_ok());
        assert!(ledger.heed(&Step::Applied { index: 1, rows: &rows }).is_ok());
        let other = [RowChange::Delete { key: "a".into() }];
        for rows in [&other[..], &[]] {
            let heeded = ledger.heed(&Step::Applied { index: 1, rows });
            assert!(heeded.is_err_and(|(invariant, _)| invariant == DETERMINISTIC), "{rows:?}");
        }
    }
}
