//! Whether a history is linearizable, key by key: the search of Wing and Gong with Lowe's memory.
//!
//! It trusts no index and no clock of the system, only when clients asked and were told. See Lowe, "Testing for
//! linearizability" (2017).

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;

use super::{Call, Operation, Outcome};

/// How many steps one key's search may take; beyond that it has failed.
const STEPS_MAX: u64 = 3_000_000;

/// A register: which operation wrote what it holds; `None` when the key does not exist.
type Register = Option<usize>;

/// Checks every key of a history.
///
/// # Errors
/// Names the key whose history no register can explain, or whose search was given up.
pub fn check(history: &[Operation]) -> Result<(), String> {
    let mut by_key: BTreeMap<&str, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        by_key.entry(&operation.key).or_default().push(operation);
    }
    by_key.into_iter().try_for_each(|(key, operations)| {
        let checked = Search::new(operations).and_then(|search| search.run());
        checked.map_err(|reason| format!("key {key}: {reason}"))
    })
}

/// Whether an operation has a place in the order: stale reads and what did not happen have none.
fn is_ordered(operation: &Operation) -> bool {
    match (&operation.call, &operation.outcome) {
        (Call::GetStale { .. } | Call::List, _)
        | (_, Outcome::NotDone | Outcome::KeyReused)
        | (Call::Get, Outcome::Unknown) => false,
        (Call::Get | Call::Put { .. } | Call::Delete, _) => true,
    }
}

struct Search<'a> {
    operations: Vec<&'a Operation>,
    /// The revision each write was seen to have.
    revisions: Vec<Option<u64>>,
    /// Which operation wrote a value.
    writers: BTreeMap<&'a Bytes, usize>,
}

impl<'a> Search<'a> {
    fn new(all: Vec<&'a Operation>) -> Result<Self, String> {
        let mut operations: Vec<_> = all.iter().copied().filter(|operation| is_ordered(operation)).collect();
        operations.sort_by_key(|operation| (operation.invoked_us, operation.returned_us, operation.client));
        let mut writers = BTreeMap::new();
        for (number, operation) in operations.iter().enumerate() {
            if let Call::Put { value, .. } = &operation.call {
                writers.insert(value, number);
            }
        }
        let mut revisions = vec![None; operations.len()];
        // Stale reads tell revisions too, and clients use them as conditions.
        for operation in all {
            let (value, revision) = match (&operation.call, &operation.outcome) {
                (Call::Put { value, .. }, Outcome::Put { revision, .. }) => (value, *revision),
                (_, Outcome::Found { value, revision }) => (value, *revision),
                _ => continue,
            };
            let writer =
                *writers.get(value).ok_or_else(|| format!("nobody wrote what was read: {operation:?}"))?;
            if revisions[writer].replace(revision).is_some_and(|other| other != revision) {
                return Err(format!("one write has two revisions: {operation:?}"));
            }
        }
        Ok(Self { operations, revisions, writers })
    }

    /// Looks for an order, depth first; what was tried before from an equal standing is not tried again.
    fn run(&self) -> Result<(), String> {
        let count = self.operations.len();
        let mut done = Done::new(count);
        let mut register: Register = None;
        let mut tried: HashSet<(Vec<u64>, Register)> = HashSet::new();
        let mut path: Vec<(usize, Register)> = Vec::new();
        let (mut from, mut steps, mut deepest) = (0, 0_u64, 0);
        loop {
            if done.returned_are_all(&self.operations) {
                return Ok(());
            }
            steps += 1;
            if steps > STEPS_MAX {
                return Err(format!(
                    "undecided after {STEPS_MAX} steps, {deepest} of {count} operations in order"
                ));
            }
            match self.next(&done, register, from) {
                Some((number, after)) => {
                    done.insert(number);
                    if tried.insert((done.bits.clone(), after)) {
                        path.push((number, register));
                        deepest = deepest.max(path.len());
                        register = after;
                        from = 0;
                    } else {
                        done.remove(number);
                        from = number + 1;
                    }
                }
                None => {
                    let Some((number, before)) = path.pop() else {
                        return Err(self.story(deepest));
                    };
                    done.remove(number);
                    register = before;
                    from = number + 1;
                }
            }
        }
    }

    /// The first operation from `from` on that may come next: nothing undone had returned before it was asked, and the register
    /// can answer as it was answered.
    fn next(&self, done: &Done, register: Register, from: usize) -> Option<(usize, Register)> {
        let mut returned_first = u64::MAX;
        for number in done.first..self.operations.len() {
            let operation = self.operations[number];
            if operation.invoked_us > returned_first {
                return None;
            }
            if done.contains(number) {
                continue;
            }
            if number >= from
                && let Some(after) = self.step(number, register)
            {
                return Some((number, after));
            }
            returned_first = returned_first.min(operation.returned_us);
        }
        None
    }

    /// What the register holds after the operation; `None` when it cannot have answered so.
    fn step(&self, number: usize, register: Register) -> Option<Register> {
        let operation = self.operations[number];
        let has_revision =
            |wanted: u64| register.is_some_and(|writer| self.revisions[writer] == Some(wanted));
        match (&operation.call, &operation.outcome) {
            (Call::Put { if_revision, .. }, outcome) => {
                let applies = if_revision.is_none_or(has_revision);
                match outcome {
                    Outcome::Put { created, .. } => {
                        (applies && *created == register.is_none()).then_some(Some(number))
                    }
                    Outcome::Mismatch => (!applies).then_some(register),
                    Outcome::Unknown => Some(if applies { Some(number) } else { register }),
                    _ => None,
                }
            }
            (Call::Delete, Outcome::Deleted) => register.is_some().then_some(None),
            (Call::Delete, Outcome::Absent) => register.is_none().then_some(None),
            (Call::Delete, Outcome::Unknown) => Some(None),
            (Call::Get, Outcome::Absent) => register.is_none().then_some(None),
            (Call::Get, Outcome::Found { value, .. }) => {
                (register.is_some() && self.writers.get(value).copied() == register).then_some(register)
            }
            _ => None,
        }
    }

    fn story(&self, deepest: usize) -> String {
        let about = deepest.saturating_sub(8)..self.operations.len().min(deepest + 8);
        let told: Vec<String> =
            self.operations[about].iter().map(|operation| format!("  {operation:?}")).collect();
        let count = self.operations.len();
        format!(
            "not linearizable; at most {deepest} of {count} operations fit, about here:\n{}",
            told.join("\n")
        )
    }
}

/// Which operations are in the order so far.
struct Done {
    bits: Vec<u64>,
    /// All before this one are done.
    first: usize,
    count: usize,
}

impl Done {
    fn new(count: usize) -> Self {
        Self { bits: vec![0; count.div_ceil(64)], first: 0, count }
    }

    fn contains(&self, number: usize) -> bool {
        self.bits[number / 64] & 1 << (number % 64) != 0
    }

    fn insert(&mut self, number: usize) {
        self.bits[number / 64] |= 1 << (number % 64);
        while self.first < self.count && self.contains(self.first) {
            self.first += 1;
        }
    }

    fn remove(&mut self, number: usize) {
        self.bits[number / 64] &= !(1 << (number % 64));
        self.first = self.first.min(number);
    }

    /// Whether every operation that was answered is in the order; the others may never have happened.
    fn returned_are_all(&self, operations: &[&Operation]) -> bool {
        (self.first..self.count)
            .all(|number| self.contains(number) || operations[number].outcome == Outcome::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(at: (u64, u64), value: &'static str, outcome: Outcome) -> Operation {
        operation(at, Call::Put { value: Bytes::from_static(value.as_bytes()), if_revision: None }, outcome)
    }

    fn get(at: (u64, u64), found: Option<(&'static str, u64)>) -> Operation {
        let outcome = found.map_or(Outcome::Absent, |(value, revision)| Outcome::Found {
            value: Bytes::from_static(value.as_bytes()),
            revision,
        });
        operation(at, Call::Get, outcome)
    }

    fn operation((invoked_us, returned_us): (u64, u64), call: Call, outcome: Outcome) -> Operation {
        let returned_us = if outcome == Outcome::Unknown { u64::MAX } else { returned_us };
        Operation { client: 1, key: "k".into(), call, invoked_us, returned_us, outcome, index: 0 }
    }

    fn done(revision: u64, created: bool) -> Outcome {
        Outcome::Put { revision, created }
    }

    #[test]
    fn what_one_register_could_have_answered_is_accepted() {
        let histories = [
            vec![put((0, 10), "a", done(1, true)), get((20, 30), Some(("a", 1)))],
            // Concurrent with the write: both answers are possible.
            vec![put((0, 10), "a", done(1, true)), get((5, 6), None), get((7, 8), Some(("a", 1)))],
            // Unknown, and took effect late.
            vec![put((0, 1), "a", Outcome::Unknown), get((5, 6), None), get((7, 8), Some(("a", 1)))],
            // Unknown, and never happened.
            vec![put((0, 1), "a", Outcome::Unknown), get((5, 6), None)],
        ];
        for history in histories {
            assert_eq!(check(&history), Ok(()));
        }
    }

    #[test]
    fn what_no_register_could_have_answered_is_refused() {
        let histories = [
            // A lost write.
            vec![put((0, 10), "a", done(1, true)), get((20, 30), None)],
            // A stale read.
            vec![
                put((0, 10), "a", done(1, true)),
                put((20, 30), "b", done(2, false)),
                get((40, 50), Some(("a", 1))),
            ],
            // Seen, and then unseen.
            vec![put((0, 1), "a", Outcome::Unknown), get((5, 6), Some(("a", 1))), get((7, 8), None)],
            // Created twice.
            vec![put((0, 10), "a", done(1, true)), put((20, 30), "b", done(2, true))],
            // Made up.
            vec![get((0, 1), Some(("z", 1)))],
        ];
        for history in histories {
            assert!(check(&history).is_err(), "{history:?}");
        }
    }
}
