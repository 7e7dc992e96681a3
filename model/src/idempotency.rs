//! `Idempotency-Key`: a client that repeats a call gets the first answer, through any node and after any failover.
//!
//! What is remembered is the reply of a command that was *executed*: an answer, and also a refusal that the state
//! of that moment decided, such as a revision mismatch (as Stripe does: the first outcome is the outcome). Not remembered is what a
//! client should simply try again: a full table ([`Rejection::TooMany`]) and a contained bug ([`Rejection::Bug`]). Both have changed
//! nothing, so running the command again is safe.

use std::{sync::Arc, time::Duration};

use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Serialize};

use crate::{
    command::{Idempotency, IdempotencyScope},
    rejection::Rejection,
    reply::Reply,
    rows::{self, Key, KeyReader, LoadError, RowSink, Table},
    time::Timestamp,
};

/// How many keys are remembered; the next one is refused until the oldest expires.
pub const KEYS_MAX: usize = 100_000;
/// How many keys an entry can expire. More than it can bring ([`crate::command::BATCH_COMMANDS_MAX`]), so expired keys never fill the
/// table; bounded, so that no entry takes long.
const EXPIRED_PER_ENTRY_MAX: usize = 2_048;

/// A remembered reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Log time of the first call.
    at: Timestamp,
    /// Hash of its body.
    body_hash: u128,
    reply: Reply,
}

/// All remembered keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdempotencyKeys {
    by_scope: OrdMap<Arc<IdempotencyScope>, Remembered>,
    /// The same in the order in which they expire.
    by_time: OrdSet<(Timestamp, Arc<IdempotencyScope>)>,
}

impl IdempotencyKeys {
    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.by_scope.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.by_scope.is_empty()
    }

    /// Lets a call in that was not made before, or gives the reply it gets instead.
    pub(crate) fn admit(&self, call: &Idempotency) -> Result<(), Reply> {
        match self.by_scope.get(&call.scope) {
            Some(first) if first.body_hash == call.body_hash || mutant!("body-not-compared") => {
                sometimes!("a call comes twice and has its first answer");
                Err(first.reply.clone())
            }
            Some(_) => Err(Err(Rejection::IdempotencyKeyReused)),
            None if self.len() < KEYS_MAX => Ok(()),
            None => {
                let what = "idempotency keys".to_owned();
                Err(Err(Rejection::TooMany { what, count_max: KEYS_MAX as u64 }))
            }
        }
    }

    /// Remembers the reply of an admitted call, unless the client should try again.
    pub(crate) fn remember(&mut self, call: Idempotency, at: Timestamp, reply: &Reply, sink: &mut RowSink) {
        let again = matches!(
            reply,
            Err(Rejection::TooMany { .. } | Rejection::Bug { .. } | Rejection::BuiltFromOtherSpecs { .. })
        );
        if again || reply.is_err() && mutant!("refusal-not-remembered") {
            return;
        }
        let scope = Arc::new(call.scope);
        let remembered = Remembered { at, body_hash: call.body_hash, reply: reply.clone() };
        if !mutant!("idempotency-not-stored") {
            sink.replace(&key(&scope), None, Some(&remembered));
        }
        self.by_time.insert((at, scope.clone()));
        let before = self.by_scope.insert(scope, remembered);
        assert!(before.is_none(), "an admitted call has no reply yet");
    }

    /// Forgets the oldest of the keys that are `window` old, so many that one entry's new ones find room. Called once an entry: until
    /// then a key is remembered, whatever its age.
    pub(crate) fn expire(&mut self, at: Timestamp, window: Duration, sink: &mut RowSink) {
        for _ in 0..EXPIRED_PER_ENTRY_MAX {
            let Some((first, scope)) = self.by_time.get_min().cloned() else { return };
            if at.since(first) < window {
                return;
            }
            let remembered = self.by_scope.remove(&scope).expect("the time index holds remembered keys");
            sink.replace(&key(&scope), Some(&remembered), None);
            self.by_time.remove(&(first, scope));
        }
    }

    pub(crate) fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let scope: IdempotencyScope =
            postcard::from_bytes(KeyReader::new(key).rest()).map_err(|_| LoadError::unknown_key(key))?;
        let scope = Arc::new(scope);
        let remembered: Remembered = rows::decode(key, value)?;
        self.by_time.insert((remembered.at, scope.clone()));
        self.by_scope.insert(scope, remembered);
        Ok(())
    }

    /// Writes every row of the keys as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        for (scope, remembered) in &self.by_scope {
            sink.replace(&key(scope), None, Some(remembered));
        }
    }

    /// Whether the time index holds exactly the remembered keys.
    pub(crate) fn index_matches(&self) -> bool {
        self.by_time.len() == self.by_scope.len()
            && self.by_time.iter().all(|(at, scope)| self.by_scope.get(scope).is_some_and(|r| r.at == *at))
    }
}

fn key(scope: &IdempotencyScope) -> Key {
    Key::new(Table::Idempotency).fixed(&postcard::to_stdvec(scope).expect("a scope is serialisable"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Answer;

    fn call(key: usize) -> Idempotency {
        let [caller, method, path] = ["ann", "POST", "/api/v1/requests"].map(Arc::from);
        Idempotency {
            scope: IdempotencyScope { caller, method, path, key: key.to_string().into() },
            body_hash: 1,
        }
    }

    #[test]
    fn a_full_table_refuses_new_keys_until_the_oldest_expire() {
        let (mut keys, mut sink) = (IdempotencyKeys::default(), RowSink::new(1));
        let window = Duration::from_secs(10);
        for key in 0..KEYS_MAX {
            assert_eq!(keys.admit(&call(key)), Ok(()));
            keys.remember(call(key), Timestamp(key as u64), &Ok(Answer::Done), &mut sink);
        }
        let full = Rejection::TooMany { what: "idempotency keys".to_owned(), count_max: 100_000 };
        assert_eq!(keys.admit(&call(KEYS_MAX)), Err(Err(full)));
        // A key that is there still gets its answer.
        assert_eq!(keys.admit(&call(0)), Err(Ok(Answer::Done)));

        let last = Timestamp(KEYS_MAX as u64 - 1).after(window);
        keys.expire(Timestamp(9).after(window), window, &mut sink);
        assert_eq!(keys.len(), KEYS_MAX - 10, "those that are as old as the window");
        assert_eq!(keys.admit(&call(9)), Ok(()));
        assert_eq!(keys.admit(&call(10)), Err(Ok(Answer::Done)));
        keys.expire(last, window, &mut sink);
        assert_eq!(keys.len(), KEYS_MAX - 10 - EXPIRED_PER_ENTRY_MAX, "no more at a time than the bound");
        assert!(keys.index_matches());
    }

    #[test]
    fn what_should_be_tried_again_is_not_remembered() {
        let (mut keys, mut sink) = (IdempotencyKeys::default(), RowSink::new(1));
        let too_many = Rejection::TooMany { what: "variables".to_owned(), count_max: 1 };
        let bug = Rejection::Bug { message: String::new() };
        for (key, rejection) in [too_many, bug].into_iter().enumerate() {
            keys.remember(call(key), Timestamp(1), &Err(rejection), &mut sink);
            assert_eq!(keys.admit(&call(key)), Ok(()));
        }
        assert!(keys.is_empty());
    }
}
