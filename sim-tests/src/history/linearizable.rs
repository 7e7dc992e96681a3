//! Whether a history is linearizable, key by key: the search of Wing and Gong with Lowe's memory.
//!
//! It trusts no index and no clock of the system, only when clients asked and were told. See Lowe, "Testing for
//! linearizability" (2017). Three things make it quick without missing an order: what leaves the register as it is comes as soon as it may;
//! what may never have happened comes only if it changes something; and of writes that nobody can tell apart the first comes first.

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
    /// The revision each write was seen to have; none for one that nobody has seen.
    revisions: Vec<Option<u64>>,
    /// What stands in the register after a write that nobody has seen.
    unseen: Register,
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
        let is_unseen =
            |number: &usize| operations[*number].outcome == Outcome::Unknown && revisions[*number].is_none();
        let unseen = (0..operations.len()).find(is_unseen);
        Ok(Self { operations, revisions, unseen, writers })
    }

    /// Looks for an order, depth first; what was tried before from an equal standing is not tried again.
    fn run(&self) -> Result<(), String> {
        let count = self.operations.len();
        let mut done = Done::new(count);
        let mut register: Register = None;
        let mut tried: HashSet<(Vec<u64>, Register)> = HashSet::new();
        let mut path: Vec<(Step, Register)> = Vec::new();
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
                Some(step) => {
                    done.insert(step.number);
                    if tried.insert((done.bits.clone(), step.after)) {
                        path.push((step, register));
                        deepest = deepest.max(path.len());
                        register = step.after;
                        from = 0;
                    } else {
                        done.remove(step.number);
                        from = self.after(step);
                    }
                }
                None => {
                    let Some((step, before)) = path.pop() else {
                        return Err(self.story(deepest));
                    };
                    done.remove(step.number);
                    register = before;
                    from = self.after(step);
                }
            }
        }
    }

    /// Where to look for another way after this one was tried.
    fn after(&self, step: Step) -> usize {
        if step.is_only_way { self.operations.len() } else { step.number + 1 }
    }

    /// What may come next: what leaves the register as it is, or the first operation from `from` on.
    fn next(&self, done: &Done, register: Register, from: usize) -> Option<Step> {
        let is_kept = |(_, after): &(usize, Register)| *after == register;
        if from == 0
            && let Some((number, after)) = self.candidates(done, register).find(is_kept)
        {
            return Some(Step { number, after, is_only_way: true });
        }
        let (number, after) = self.candidates(done, register).find(|(number, _)| *number >= from)?;
        Some(Step { number, after, is_only_way: false })
    }

    /// Every operation that may come next: nothing undone had returned before it was asked, and the register can answer as it was answered.
    fn candidates(&self, done: &Done, register: Register) -> impl Iterator<Item = (usize, Register)> {
        let undone = (done.first..self.operations.len()).filter(|number| !done.contains(*number));
        let mut returned_first = u64::MAX;
        let timely = undone.take_while(move |number| {
            let operation = self.operations[*number];
            let is_timely = operation.invoked_us <= returned_first;
            returned_first = returned_first.min(operation.returned_us);
            is_timely
        });
        let (mut had_put, mut had_delete) = (false, false);
        timely.filter_map(move |number| {
            let operation = self.operations[number];
            let is_unknown = operation.outcome == Outcome::Unknown;
            let had_such = match operation.call {
                Call::Put { if_revision: None, .. } if is_unknown && self.revisions[number].is_none() => {
                    std::mem::replace(&mut had_put, true)
                }
                Call::Delete if is_unknown => std::mem::replace(&mut had_delete, true),
                _ => false,
            };
            let after = self.step(number, register).filter(|_| !had_such)?;
            (!is_unknown || after != register).then_some((number, after))
        })
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
                    Outcome::Unknown if !applies => Some(register),
                    Outcome::Unknown if self.revisions[number].is_none() => Some(self.unseen),
                    Outcome::Unknown => Some(Some(number)),
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

/// The next operation in the order.
#[derive(Debug, Clone, Copy)]
struct Step {
    number: usize,
    /// What the register holds then.
    after: Register,
    /// Whether no other operation needs to be tried here.
    is_only_way: bool,
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
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

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

    #[test]
    fn writes_that_nobody_saw_do_not_hide_what_is_wrong() {
        let lost = |number: u64| put((number, number), "x", Outcome::Unknown);
        let mut history: Vec<Operation> = (0..60)
            .map(|number| Operation {
                call: Call::Put { value: format!("u{number}").into(), if_revision: None },
                ..lost(number)
            })
            .collect();
        history.extend((60..90).map(|number| Operation { call: Call::Delete, ..lost(number) }));
        history.extend([put((100, 110), "a", done(1, true)), get((120, 130), Some(("a", 1)))]);
        assert_eq!(check(&history), Ok(()));
        // Seen before it was written.
        history.push(get((91, 92), Some(("a", 1))));
        let found = check(&history).expect_err("nothing explains it");
        assert!(found.contains("not linearizable"), "{found}");
    }

    /// Whether some order of all that was answered, and of some of the rest, is that of a register: tried one by one.
    fn is_explained(search: &Search<'_>, left: &[usize], register: Register) -> bool {
        let is_over = left.iter().all(|number| search.operations[*number].outcome == Outcome::Unknown);
        is_over
            || left.iter().any(|number| {
                let asked = search.operations[*number].invoked_us;
                let is_timely = left.iter().all(|other| search.operations[*other].returned_us >= asked);
                let rest: Vec<usize> = left.iter().copied().filter(|other| other != number).collect();
                is_timely
                    && search.step(*number, register).is_some_and(|after| is_explained(search, &rest, after))
            })
    }

    #[test]
    fn the_search_finds_an_order_exactly_if_there_is_one() {
        let mut rng = SmallRng::seed_from_u64(1);
        let mut verdicts = [0, 0];
        for _ in 0..20_000 {
            let history: Vec<Operation> = (0..rng.random_range(2..=7)).map(|n| any(&mut rng, n)).collect();
            let Ok(search) = Search::new(history.iter().collect()) else { continue };
            let all: Vec<usize> = (0..search.operations.len()).collect();
            let expected = is_explained(&search, &all, None);
            assert_eq!(search.run().is_ok(), expected, "{history:?}");
            verdicts[usize::from(expected)] += 1;
        }
        assert!(verdicts.iter().all(|count| *count > 1_000), "{verdicts:?}");
    }

    /// An operation as it may be in a history, legal or not; revisions tell values apart.
    fn any(rng: &mut SmallRng, number: u64) -> Operation {
        let invoked = rng.random_range(0..30);
        let at = (invoked, invoked + rng.random_range(1..20));
        let value = |number: u64| Bytes::from(format!("v{number}"));
        let if_revision = rng.random_bool(0.3).then(|| rng.random_range(0..4));
        let put = Call::Put { value: value(number), if_revision };
        let (call, outcome) = match rng.random_range(0..8) {
            0 | 1 => (put, Outcome::Put { revision: number, created: rng.random_bool(0.5) }),
            2 => (put, Outcome::Unknown),
            3 => (Call::Delete, Outcome::Unknown),
            4 => (Call::Delete, if rng.random_bool(0.5) { Outcome::Deleted } else { Outcome::Absent }),
            5 => (
                Call::Put { value: value(number), if_revision: Some(rng.random_range(0..4)) },
                Outcome::Mismatch,
            ),
            6 => (Call::Get, Outcome::Absent),
            _ => {
                let seen = rng.random_range(0..4);
                (Call::Get, Outcome::Found { value: value(seen), revision: seen })
            }
        };
        operation(at, call, outcome)
    }
}
