//! What was started in this incarnation. Entered in the turn that makes the process, kept until acknowledged, then a
//! tombstone: so a key is never started twice, whatever events or actors were lost.
//!
//! How a process ended is not kept here: it was sent to the node, which lives exactly as long as the socket.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    key::ProcessKey,
    protocol::{Stage, StartAnswer},
};

/// How many acknowledged keys are remembered. The state machine no longer shows an acknowledged try as running, so
/// a tombstone only guards against requests that were under way; this many cover minutes of them.
const TOMBSTONES_MAX: usize = 65_536;

/// The register; `P` is what stands for a running process.
#[derive(Debug)]
pub struct Register<P> {
    entries: BTreeMap<ProcessKey, Entry<P>>,
    tombstones: BTreeSet<ProcessKey>,
    /// The tombstones, oldest first.
    buried: VecDeque<ProcessKey>,
}

#[derive(Debug)]
enum Entry<P> {
    Running(P),
    Ended,
}

impl<P> Default for Register<P> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), tombstones: BTreeSet::new(), buried: VecDeque::new() }
    }
}

impl<P> Register<P> {
    /// Whether `key` may be entered; otherwise the answer to give.
    pub fn vacant(&self, key: &ProcessKey) -> Result<(), StartAnswer> {
        match self.entries.get(key) {
            Some(Entry::Running(_)) => Err(StartAnswer::Registered(Stage::Running)),
            Some(Entry::Ended) => Err(StartAnswer::Registered(Stage::Ended)),
            None if self.tombstones.contains(key) => Err(StartAnswer::Settled),
            None => Ok(()),
        }
    }

    /// Enters a process under a vacant key.
    pub fn enter(&mut self, key: ProcessKey, process: P) {
        let before = self.entries.insert(key, Entry::Running(process));
        assert!(before.is_none(), "{key} was entered twice");
    }

    /// Enters a vacant key whose process could not be made.
    pub fn enter_ended(&mut self, key: ProcessKey) {
        let before = self.entries.insert(key, Entry::Ended);
        assert!(before.is_none(), "{key} was entered twice");
    }

    /// The running process of `key`, unless it ended or was never entered.
    pub fn running_mut(&mut self, key: &ProcessKey) -> Option<&mut P> {
        match self.entries.get_mut(key) {
            Some(Entry::Running(process)) => Some(process),
            Some(Entry::Ended) | None => None,
        }
    }

    /// All running processes, in order of their keys.
    pub fn running(&self) -> impl Iterator<Item = (ProcessKey, &P)> {
        self.entries.iter().filter_map(|(key, entry)| match entry {
            Entry::Running(process) => Some((*key, process)),
            Entry::Ended => None,
        })
    }

    /// All running processes, to change.
    pub fn all_running_mut(&mut self) -> impl Iterator<Item = (ProcessKey, &mut P)> {
        self.entries.iter_mut().filter_map(|(key, entry)| match entry {
            Entry::Running(process) => Some((*key, process)),
            Entry::Ended => None,
        })
    }

    /// Records that a running process has ended, and returns what stood for it.
    pub fn end(&mut self, key: &ProcessKey) -> Option<P> {
        let entry = self.entries.get_mut(key)?;
        match std::mem::replace(entry, Entry::Ended) {
            Entry::Running(process) => Some(process),
            Entry::Ended => None,
        }
    }

    /// Drops what is known of an ended process, except that it was there.
    pub fn forget(&mut self, key: &ProcessKey) {
        if !matches!(self.entries.get(key), Some(Entry::Ended)) {
            return;
        }
        self.entries.remove(key);
        if self.tombstones.insert(*key) {
            self.buried.push_back(*key);
        }
        if self.buried.len() > TOMBSTONES_MAX
            && let Some(oldest) = self.buried.pop_front()
        {
            self.tombstones.remove(&oldest);
        }
    }

    /// Every key with where it stands, in order.
    pub fn list(&self) -> Vec<(ProcessKey, Stage)> {
        let stage = |entry: &Entry<P>| match entry {
            Entry::Running(_) => Stage::Running,
            Entry::Ended => Stage::Ended,
        };
        self.entries.iter().map(|(key, entry)| (*key, stage(entry))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_vacant_once() {
        let key = ProcessKey::Call(1);
        let mut register = Register::default();
        assert_eq!(register.vacant(&key), Ok(()));
        register.enter(key, "process");
        assert_eq!(register.vacant(&key), Err(StartAnswer::Registered(Stage::Running)));
        register.forget(&key);
        assert_eq!(register.list(), [(key, Stage::Running)], "a running process is not forgotten");
        assert_eq!(register.end(&key), Some("process"));
        assert_eq!(register.vacant(&key), Err(StartAnswer::Registered(Stage::Ended)));
        assert_eq!(register.list(), [(key, Stage::Ended)]);
        assert_eq!(register.end(&key), None);
        register.forget(&key);
        assert_eq!(register.vacant(&key), Err(StartAnswer::Settled));
        assert_eq!(register.list(), []);
    }

    #[test]
    fn tombstones_are_bounded() {
        let mut register = Register::default();
        for number in 0..=TOMBSTONES_MAX as u64 {
            let key = ProcessKey::Call(number);
            register.enter(key, ());
            register.end(&key);
            register.forget(&key);
        }
        assert_eq!(register.tombstones.len(), TOMBSTONES_MAX);
        assert_eq!(register.vacant(&ProcessKey::Call(0)), Ok(()));
        assert_eq!(register.vacant(&ProcessKey::Call(1)), Err(StartAnswer::Settled));
    }
}
