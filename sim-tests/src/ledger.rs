//! The committed log, replayed beside the nodes: what each entry did, seen once, whichever node applied it first.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use capstan_model::{
    apply::{apply, apply_blank},
    command::{Command, Entry, Stored},
    event::Event,
    reply::Reply,
    state::State,
    workflow::event::WorkflowEvent,
};
use capstan_raft_store::witness::Content;
use xxhash_rust::xxh3::xxh3_64;

/// What the entry at one index did.
pub struct Committed {
    /// Where in the log it is.
    pub index: u64,
    /// Its commands with their replies. One that was executed before has the reply it had then.
    pub commands: Vec<(Command, Reply)>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// The state before it.
    pub before: State,
    /// The state after it.
    pub after: State,
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

/// Replays what nodes apply.
#[derive(Default)]
pub(crate) struct Ledger {
    state: State,
    /// The hash of each entry.
    entries: BTreeMap<u64, u64>,
    /// Set once an entry could not be applied; nothing after it is replayed.
    is_broken: bool,
}

impl Ledger {
    /// Takes note that a node applies an entry; the result is `None` when one has done so before.
    ///
    /// # Errors
    /// Another entry was applied at this index, or none at the one before it.
    pub(crate) fn applying(&mut self, index: u64, entry: Content<'_>) -> Result<Option<Committed>, String> {
        // Index 0 is the first membership, which every node begins with.
        if index == 0 || self.is_broken {
            return Ok(None);
        }
        let hash = match entry {
            Content::Commands(bytes) => xxh3_64(bytes),
            Content::Blank { term } => term,
        };
        if let Some(known) = self.entries.get(&index) {
            let differs = || format!("another entry was applied before at index {index}");
            return if *known == hash { Ok(None) } else { Err(differs()) };
        }
        if index != self.state.index() + 1 {
            return Err(format!(
                "the entry at {index} is applied, and the log known so far ends at {}",
                self.state.index()
            ));
        }
        self.entries.insert(index, hash);
        let before = self.state.clone();
        let bytes = match entry {
            Content::Commands(bytes) => bytes,
            Content::Blank { term } => {
                apply_blank(&mut self.state, index, term);
                let after = self.state.clone();
                return Ok(Some(Committed { index, commands: vec![], events: vec![], before, after }));
            }
        };
        let entry: Entry = postcard::from_bytes(bytes).expect("what nodes apply can be decoded");
        let replay = catch_unwind(AssertUnwindSafe(|| apply(&mut self.state, index, &entry)));
        let Ok(applied) = replay else {
            self.is_broken = true;
            return Err(format!("the entry at {index} cannot be applied: panic"));
        };
        let Entry::V1 { commands, .. } = entry;
        let opened = commands.iter().map(|sealed| {
            let Stored::V1 { command, .. } = sealed.open().expect("what nodes apply can be decoded");
            command
        });
        let commands = opened.zip(applied.replies.into_iter().map(|(_, reply)| reply)).collect();
        Ok(Some(Committed { index, commands, events: applied.events, before, after: self.state.clone() }))
    }

    /// The state after everything that was applied anywhere.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }
}
