//! Lets the simulator see every entry that a node applies. Built for the simulator only.

use std::cell::RefCell;

use crate::runtime;

/// What an entry that is about to be applied holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// Commands: the bytes of a `capstan_model::command::Entry`.
    Commands(&'a [u8]),
    /// Nothing for the model but the term of the leader that appended it.
    Blank {
        /// The term.
        term: u64,
    },
}

/// Told of every entry that is about to be applied: by which node, at which index, and what it holds.
pub type Witness = Box<dyn Fn(u64, u64, Content<'_>)>;

thread_local! {
    static WITNESS: RefCell<Option<Witness>> = const { RefCell::new(None) };
}

/// Tells this witness, and no other, from now on; `None` tells nobody.
pub fn tell(witness: Option<Witness>) {
    WITNESS.set(witness);
}

/// The current node is about to apply an entry.
pub(crate) fn applying(index: u64, entry: Content<'_>) {
    WITNESS.with_borrow(|witness| {
        if let Some(witness) = witness {
            witness(runtime::current(), index, entry);
        }
    });
}
