//! What the committed log must have answered: registers, and remembered keys, in a model of their own.
//!
//! It is fed the commands of the log and nothing of what apply did with them, and compares. Written apart from `capstan_model::apply`
//! on purpose: what both get wrong alike is not seen.

use std::collections::BTreeMap;

use bytes::Bytes;
use capstan_model::{
    command::{Command, Condition, IdempotencyScope},
    ids::{CommandId, VariableName},
    rejection::Rejection,
    reply::{Answer, Reply},
    time::Timestamp,
};

use crate::ledger::{Committed, Sent};

/// Every variable and every answer so far.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    variables: BTreeMap<VariableName, (u64, Bytes)>,
    revision: u64,
    /// The answer of each command that passed its session.
    answers: BTreeMap<CommandId, Reply>,
    keys: BTreeMap<IdempotencyScope, Remembered>,
    puts: BTreeMap<Bytes, Vec<Execution>>,
}

/// The first call under a key.
#[derive(Debug)]
struct Remembered {
    at: Timestamp,
    body_hash: u128,
    reply: Reply,
}

/// That a value was put, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Execution {
    /// The index of its entry.
    pub(crate) index: u64,
    /// When, in log time.
    pub(crate) at: Timestamp,
    /// The revision it got, and whether it created the variable; `None` when it was refused.
    pub(crate) done: Option<(u64, bool)>,
}

impl Registers {
    /// Takes the next entry.
    ///
    /// # Errors
    /// A command was answered otherwise than it must have been, or a variable is not what it must be.
    pub(crate) fn heed(&mut self, committed: &Committed) -> Result<(), String> {
        let at = committed.after.log_time();
        let window = committed.before.settings.idempotency_window();
        let mut first = Ok(());
        for (sent, (command, reply)) in committed.sent.iter().zip(&committed.commands) {
            let is_forgotten = |known: &Remembered| at.since(known.at) >= window;
            if let Some(call) = &sent.idempotency
                && self.keys.get(&call.scope).is_some_and(is_forgotten)
            {
                self.keys.remove(&call.scope);
            }
            let expected = self.answer(committed.index, at, sent, command, reply);
            if expected.as_ref().is_some_and(|expected| expected != reply) {
                let found =
                    format!("index {}: {command:?} of {sent:?} is answered {reply:?}", committed.index);
                first = first.and(Err(format!("{found}, and not {expected:?}")));
            }
        }
        first.and_then(|()| self.compare(committed))
    }

    /// How often this value was put.
    pub(crate) fn executions(&self, value: &Bytes) -> &[Execution] {
        self.puts.get(value).map_or(&[], Vec::as_slice)
    }

    /// Nothing but this has happened.
    #[cfg(test)]
    pub(crate) fn with_executions(value: Bytes, executions: Vec<Execution>) -> Self {
        Self { puts: BTreeMap::from([(value, executions)]), ..Self::default() }
    }

    /// What a command must be answered; `None` when that is not for registers and keys to say.
    fn answer(
        &mut self,
        index: u64,
        at: Timestamp,
        sent: &Sent,
        command: &Command,
        reply: &Reply,
    ) -> Option<Reply> {
        if command.has_natural_key() || is_not_executed(reply) {
            return None;
        }
        if let Some(known) = self.answers.get(&sent.id) {
            return Some(known.clone());
        }
        let known = sent.idempotency.as_ref().and_then(|call| Some((call, self.keys.get(&call.scope)?)));
        let expected = match known {
            Some((call, known)) if known.body_hash == call.body_hash => Some(known.reply.clone()),
            Some(_) => Some(Err(Rejection::IdempotencyKeyReused)),
            None => {
                let expected = self.execute(index, at, command);
                if let Some(call) = &sent.idempotency {
                    let (body_hash, reply) = (call.body_hash, reply.clone());
                    self.keys.insert(call.scope.clone(), Remembered { at, body_hash, reply });
                }
                expected
            }
        };
        self.answers.insert(sent.id, reply.clone());
        expected
    }

    fn execute(&mut self, index: u64, at: Timestamp, command: &Command) -> Option<Reply> {
        let (name, condition, value) = match command {
            Command::PutVariable { name, value, condition } => (name, condition, Some(value)),
            Command::DeleteVariable { name, condition } => (name, condition, None),
            _ => return None,
        };
        let current = self.variables.get(name).map(|(revision, _)| *revision);
        let applies = match condition {
            Condition::Any => true,
            Condition::Revision(revision) => current == Some(*revision),
            Condition::Absent => current.is_none(),
        };
        let (done, reply) = match (value, current) {
            _ if !applies => (None, Err(Rejection::RevisionMismatch { name: name.clone(), current })),
            (None, None) => (None, Err(Rejection::NoSuchVariable { name: name.clone() })),
            (None, Some(_)) => {
                self.variables.remove(name);
                (None, Ok(Answer::VariableDeleted))
            }
            (Some(value), _) => {
                self.revision += 1;
                self.variables.insert(name.clone(), (self.revision, value.clone()));
                let (revision, created) = (self.revision, current.is_none());
                (Some((revision, created)), Ok(Answer::VariablePut { revision, created }))
            }
        };
        if let Some(value) = value {
            self.puts.entry(value.clone()).or_default().push(Execution { index, at, done });
        }
        Some(reply)
    }

    /// Whether the state after an entry has what this model has, as far as the entry may have changed it.
    fn compare(&self, committed: &Committed) -> Result<(), String> {
        let after = &committed.after.variables;
        let counted = (after.revision(), after.len());
        if counted != (self.revision, self.variables.len()) {
            let expected = (self.revision, self.variables.len());
            let index = committed.index;
            return Err(format!(
                "index {index} has {counted:?} revisions and variables, and not {expected:?}"
            ));
        }
        for (command, _) in &committed.commands {
            let (Command::PutVariable { name, .. } | Command::DeleteVariable { name, .. }) = command else {
                continue;
            };
            let found = after.get(name).map(|variable| (variable.revision, &variable.value));
            let expected = self.variables.get(name).map(|(revision, value)| (*revision, value));
            if found != expected {
                return Err(format!(
                    "at index {} {name} is {found:?}, and not {expected:?}",
                    committed.index
                ));
            }
        }
        Ok(())
    }
}

/// Refused without being looked at, or undone as a whole.
fn is_not_executed(reply: &Reply) -> bool {
    matches!(
        reply,
        Err(Rejection::SessionOver { .. }
            | Rejection::SessionFull { .. }
            | Rejection::Undecodable { .. }
            | Rejection::TooMany { .. }
            | Rejection::TooLarge { .. }
            | Rejection::Bug { .. })
    )
}

#[cfg(test)]
mod tests {
    use capstan_model::{
        apply::apply,
        command::{Entry, Idempotency, NodeJoined, Sealed},
        ids::{DiskId, Incarnation, NodeId},
        state::State,
    };

    use super::*;

    const LIFE: Incarnation = Incarnation { node: NodeId(1), boot: 1, nonce: 0 };
    const HOUR_NS: u64 = 3_600_000_000_000;

    /// A call of a client: the number of its command, its key and body, and its value.
    type Called = (u64, Option<(&'static str, u128)>, &'static str);

    fn sealed((seq, key, value): Called) -> (Sent, Command) {
        let idempotency = key.map(|(key, body_hash)| {
            let [caller, method, path, key] = ["", "PUT", "/a", key].map(Into::into);
            Idempotency { scope: IdempotencyScope { caller, method, path, key }, body_hash }
        });
        let command = Command::PutVariable {
            name: "a".parse().expect("a legal name"),
            value: value.into(),
            condition: Condition::Any,
        };
        (Sent { id: CommandId { incarnation: LIFE, seq }, idempotency }, command)
    }

    /// What the model answers to calls, each in an entry of its own, an hour apart.
    fn log_of(calls: &[Called]) -> Vec<Committed> {
        let joined = Command::NodeJoined(NodeJoined {
            incarnation: LIFE,
            disk: DiskId(1),
            peer_address: "".into(),
            http_address: "".into(),
            slots: 0,
            job_types: vec![],
        });
        let join = (Sent { id: CommandId { incarnation: LIFE, seq: 0 }, idempotency: None }, joined);
        let entries = std::iter::once(join).chain(calls.iter().map(|call| sealed(*call)));
        let mut state = State::default();
        let committed = (1..).zip(entries).map(|(index, (sent, command))| {
            let before = state.clone();
            let it = Sealed::new(sent.id, sent.idempotency.clone(), command.clone()).expect("it is small");
            let time = Timestamp(index * HOUR_NS);
            let applied = apply(&mut state, index, &Entry::V1 { time, settled: vec![], commands: vec![it] });
            let commands = vec![(command, applied.replies[0].1.clone())];
            let (events, after) = (applied.events, state.clone());
            Committed { index, term: 1, sent: vec![sent], commands, events, before, after }
        });
        committed.collect()
    }

    fn holds(log: &[Committed]) -> bool {
        let mut registers = Registers::default();
        log.iter().all(|committed| registers.heed(committed).is_ok())
    }

    #[test]
    fn repeated_calls_are_one_call_until_their_key_is_forgotten() {
        let key = Some(("k", 1));
        let log =
            log_of(&[(1, key, "x"), (1, key, "x"), (2, key, "x"), (3, Some(("k", 2)), "y"), (4, None, "z")]);
        let mut registers = Registers::default();
        assert!(log.iter().all(|committed| registers.heed(committed).is_ok()));
        let count = |value: &'static str| registers.executions(&Bytes::from_static(value.as_bytes())).len();
        assert_eq!([count("x"), count("y"), count("z")], [1, 0, 1]);

        let mut calls = vec![(1, key, "x")];
        calls.extend((2..=24).map(|seq| (seq, None, "other")));
        let forgotten = log_of(&[&calls[..], &[(25, key, "x")]].concat());
        assert!(holds(&forgotten), "a day later it is a call like any other");
        assert_eq!(forgotten.last().map(|it| it.after.variables.revision()), Some(25));
    }

    #[test]
    fn another_answer_or_effect_than_a_register_has_is_refused() {
        let key = Some(("k", 1));
        let well = || log_of(&[(1, key, "x"), (2, key, "x"), (3, None, "y")]);
        assert!(holds(&well()));
        let mut answered = well();
        answered[2].commands[0].1 = Ok(Answer::VariablePut { revision: 2, created: false });
        assert!(!holds(&answered), "a repeat has the first answer");
        let mut executed = well();
        executed[2].after = executed[3].after.clone();
        assert!(!holds(&executed), "a repeat has no effect");
        let mut refused = well();
        refused[3].commands[0].1 = Err(Rejection::IdempotencyKeyReused);
        assert!(!holds(&refused), "it had no key");
    }
}
