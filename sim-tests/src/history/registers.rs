//! What the committed log must have answered: registers, and remembered keys, in a model of their own.
//!
//! It is fed the commands of the log and nothing of what apply did with them, and compares. Written apart from `capstan_model::apply`
//! on purpose: what both get wrong alike is not seen.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use capstan_model::{
    auth::Credential,
    command::{Command, Condition, IdempotencyScope},
    ids::{CommandId, VariableName},
    rejection::Rejection,
    reply::{Answer, Reply},
    time::Timestamp,
};

use super::{
    callers::{self, Callers},
    spec_versions::{self, SpecVersions},
};
use crate::ledger::{Broken, Committed, Sent};

/// What must hold of the answers in the log.
const NAME: &str = "the log answers as registers do, and a call made again as it was answered first";

/// Every variable and every answer so far.
#[derive(Debug, Default)]
pub(crate) struct Registers {
    variables: BTreeMap<VariableName, (u64, Bytes)>,
    revision: u64,
    /// The answer of each command that passed its session.
    answers: BTreeMap<CommandId, Reply>,
    keys: BTreeMap<IdempotencyScope, Remembered>,
    puts: BTreeMap<Bytes, Vec<Execution>>,
    /// What was executed under the keys of clients.
    executed: BTreeMap<Arc<str>, Vec<Executed>>,
    specs: SpecVersions,
    callers: Callers,
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

/// That a command was executed which a client had sent under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Executed {
    /// The index of its entry.
    pub(crate) index: u64,
    /// When, in log time.
    pub(crate) at: Timestamp,
    /// Whether it was done, and not refused.
    pub(crate) is_done: bool,
    /// Who had it done; `None` is the cluster itself.
    pub(crate) credential: Option<Credential>,
}

impl Registers {
    /// Takes the next entry.
    ///
    /// # Errors
    /// A command was answered otherwise than it must have been, or variables, specs or tokens are not what they must be.
    pub(crate) fn heed(&mut self, committed: &Committed) -> Result<(), Broken> {
        let at = committed.after.log_time();
        let window = committed.before.settings.idempotency_window();
        let mut first = Ok(());
        self.specs.begin(committed);
        for (sent, (command, reply)) in committed.sent.iter().zip(&committed.commands) {
            let is_forgotten = |known: &Remembered| at.since(known.at) >= window;
            if let Some(call) = &sent.idempotency
                && self.keys.get(&call.scope).is_some_and(is_forgotten)
            {
                self.keys.remove(&call.scope);
            }
            first = first.and(self.judge(committed, at, sent, (command, reply)));
        }
        first?;
        self.compare(committed).map_err(|found| (NAME, found))?;
        self.specs.end(committed).map_err(|found| (spec_versions::NAME, found))?;
        self.callers.end(committed).map_err(|found| (callers::NAME, found))
    }

    /// What callers have had done.
    pub(crate) fn callers(&self) -> &Callers {
        &self.callers
    }

    /// What was executed under a key, in the order of the log.
    pub(crate) fn executed(&self, key: &str) -> &[Executed] {
        self.executed.get(key).map_or(&[], Vec::as_slice)
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

    /// Compares the answer to a command with what it must be, as far as that is for this model to say.
    fn judge(
        &mut self,
        committed: &Committed,
        at: Timestamp,
        sent: &Sent,
        (command, reply): (&Command, &Reply),
    ) -> Result<(), Broken> {
        let told = || format!("index {}: {command:?} of {sent:?} is answered {reply:?}", committed.index);
        if command.has_natural_key() {
            if let Command::Auth(command) = command {
                drop(self.callers.execute(command, at));
            }
            return Ok(());
        }
        if is_not_executed(reply) {
            return Ok(());
        }
        let expected = match self.answers.get(&sent.id) {
            Some(known) => Some(known.clone()),
            None => {
                let is_denied = is_denial(reply);
                self.answers.insert(sent.id, reply.clone());
                if self.callers.may(sent.author.as_ref(), command, at) == is_denied {
                    return Err((callers::NAME, told()));
                }
                if let Some(author) = &sent.author {
                    let carried = callers::carries_its_acl(author, command, &committed.after.specs);
                    carried
                        .map_err(|found| (callers::NAME, format!("index {}: {found}", committed.index)))?;
                }
                if is_denied { None } else { self.answer(committed.index, at, sent, (command, reply)) }
            }
        };
        match expected {
            Some(expected) if expected != *reply => {
                Err((name_for(command), format!("{}, and not {expected:?}", told())))
            }
            _ => Ok(()),
        }
    }

    /// What a command must be answered that its caller may have done; `None` when that is not for this model to say.
    fn answer(
        &mut self,
        index: u64,
        at: Timestamp,
        sent: &Sent,
        (command, reply): (&Command, &Reply),
    ) -> Option<Reply> {
        let known = sent.idempotency.as_ref().and_then(|call| Some((call, self.keys.get(&call.scope)?)));
        match known {
            Some((call, known)) if known.body_hash == call.body_hash => return Some(known.reply.clone()),
            Some(_) => return Some(Err(Rejection::IdempotencyKeyReused)),
            None => {}
        }
        if reply.is_ok() {
            self.callers.note(index, sent.author.as_ref(), command);
        }
        let expected = self.execute(index, at, command, reply);
        if let Some(call) = &sent.idempotency {
            let credential = sent.author.as_ref().map(|author| author.credential);
            let executed = Executed { index, at, is_done: reply.is_ok(), credential };
            self.executed.entry(Arc::clone(&call.scope.key)).or_default().push(executed);
            if !is_to_be_built_again(reply) {
                let (body_hash, reply) = (call.body_hash, reply.clone());
                self.keys.insert(call.scope.clone(), Remembered { at, body_hash, reply });
            }
        }
        expected
    }

    fn execute(&mut self, index: u64, at: Timestamp, command: &Command, reply: &Reply) -> Option<Reply> {
        let (name, condition, value) = match command {
            Command::PutVariable { name, value, condition } => (name, condition, Some(value)),
            Command::DeleteVariable { name, condition } => (name, condition, None),
            Command::PushSpecs(push) => return Some(self.specs.push(push)),
            Command::RevertSpecs(revert) => return Some(self.specs.revert(revert, reply)),
            Command::Auth(command) => return Some(self.callers.execute(command, at)),
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

/// The property that an answer to such a command is about.
fn name_for(command: &Command) -> &'static str {
    match command {
        Command::PushSpecs(_) | Command::RevertSpecs(_) => spec_versions::NAME,
        Command::Auth(_) => callers::NAME,
        _ => NAME,
    }
}

/// Refused for who asked.
fn is_denial(reply: &Reply) -> bool {
    matches!(reply, Err(Rejection::NotAuthenticated(_) | Rejection::Denied(_)))
}

/// Refused for what it was built from: its key is not used up, since the node that took it builds it again.
fn is_to_be_built_again(reply: &Reply) -> bool {
    matches!(reply, Err(Rejection::BuiltFromOtherSpecs { .. }))
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
        (Sent { id: CommandId { incarnation: LIFE, seq }, idempotency, author: None }, command)
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
        let id = CommandId { incarnation: LIFE, seq: 0 };
        let join = (Sent { id, idempotency: None, author: None }, joined);
        let entries = std::iter::once(join).chain(calls.iter().map(|call| sealed(*call)));
        let mut state = State::default();
        let committed = (1..).zip(entries).map(|(index, (sent, command))| {
            let before = state.clone();
            let it = Sealed::new(sent.id, sent.idempotency.clone(), command.clone()).expect("it is small");
            let time = Timestamp(index * HOUR_NS);
            let applied = apply(&mut state, index, &Entry::V1 { time, settled: vec![], commands: vec![it] });
            let commands = vec![(command, applied.replies[0].1.clone())];
            let (events, rows, after) = (applied.events, applied.rows, state.clone());
            Committed { index, term: 1, sent: vec![sent], commands, events, rows, before, after }
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
