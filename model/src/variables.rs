//! Variables: named values with a revision.

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;
use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{
    command::Condition,
    event::Event,
    ids::VariableName,
    rejection::Rejection,
    reply::Answer,
    rows::{self, Key, KeyReader, LoadError, RowSink, Table},
    state::State,
};

/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// A variable's value, and the write that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    /// Counts the writes of all variables; never reused, so equal revisions mean equal values.
    pub revision: u64,
    /// Any bytes, at most [`VALUE_BYTES_MAX`].
    pub value: Bytes,
}

/// All variables by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variables {
    /// Shared one by one: a write copies the map's nodes on its way, and with them a pointer for each of their variables.
    by_name: OrdMap<VariableName, Arc<Variable>>,
    /// The newest revision given, also to a variable that is gone.
    revision: u64,
}

/// Some variables in order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<'a> {
    /// At most as many as were asked for.
    pub variables: Vec<(&'a VariableName, &'a Variable)>,
    /// The last of them, when more follow: what to continue after.
    pub next: Option<&'a VariableName>,
}

impl Variables {
    /// The variable of this name.
    pub fn get(&self, name: &VariableName) -> Option<&Variable> {
        self.by_name.get(name).map(Arc::as_ref)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Every variable in order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&VariableName, &Variable)> {
        self.by_name.iter().map(|(name, variable)| (name, &**variable))
    }

    /// The newest revision given; zero before the first write.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The first `limit` variables whose name starts with `prefix` and comes after `after`. Neither needs to be a legal name.
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize) -> Page<'_> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let range = self.by_name.range::<_, str>((from, Bound::Unbounded));
        let range = range.map(|(name, variable)| (name, &**variable));
        let mut matching = range.take_while(|(name, _)| name.as_str().starts_with(prefix));
        let variables: Vec<_> = matching.by_ref().take(limit).collect();
        let next = matching.next().and_then(|_| variables.last().map(|(name, _)| *name));
        Page { variables, next }
    }

    pub(crate) fn evolve_put(
        &mut self,
        name: &VariableName,
        value: &Bytes,
        revision: u64,
        sink: &mut RowSink,
    ) {
        let new = Arc::new(Variable { revision, value: value.clone() });
        let old = self.by_name.insert(name.clone(), Arc::clone(&new));
        sink.replace(&key(name), old.as_ref(), Some(&new));
        self.revision = revision;
    }

    pub(crate) fn evolve_deleted(&mut self, name: &VariableName, sink: &mut RowSink) {
        let old = self.by_name.remove(name).expect("only a variable that exists is deleted");
        sink.replace(&key(name), Some(&old), None);
    }

    pub(crate) fn load_revision(&mut self, revision: u64) {
        if !mutant!("revision-not-loaded") {
            self.revision = revision;
        }
    }

    pub(crate) fn load_row(&mut self, key: &[u8], value: &[u8]) -> Result<(), LoadError> {
        let name = std::str::from_utf8(KeyReader::new(key).rest()).ok().and_then(|name| name.parse().ok());
        let name = name.ok_or_else(|| LoadError::unknown_key(key))?;
        self.by_name.insert(name, Arc::new(rows::decode(key, value)?));
        Ok(())
    }

    /// Writes every row of the variables as if it were new.
    pub(crate) fn dump(&self, sink: &mut RowSink) {
        for (name, variable) in &self.by_name {
            sink.replace(&key(name), None, Some(variable));
        }
    }
}

fn key(name: &VariableName) -> Key {
    Key::new(Table::Variable).fixed(name.as_str().as_bytes())
}

/// Decides on `PutVariable`.
pub(crate) fn put(
    state: &State,
    name: &VariableName,
    value: &Bytes,
    condition: Condition,
) -> Result<(Answer, Vec<Event>), Rejection> {
    if value.len() > VALUE_BYTES_MAX {
        let (bytes, bytes_max) = (value.len() as u64, VALUE_BYTES_MAX as u64);
        return Err(Rejection::TooLarge { what: format!("the value of variable {name}"), bytes, bytes_max });
    }
    let current = state.variables.get(name).map(|variable| variable.revision);
    check(name, current, condition)?;
    let count_max = state.settings.variables_max();
    if current.is_none() && state.variables.len() as u64 >= count_max {
        return Err(Rejection::TooMany { what: "variables".to_owned(), count_max });
    }
    let newest = if mutant!("revision-reused") { current.unwrap_or(0) } else { state.variables.revision };
    let revision = newest + 1;
    let event = Event::VariablePut { name: name.clone(), value: value.clone(), revision };
    Ok((Answer::VariablePut { revision, created: current.is_none() }, vec![event]))
}

/// Decides on `DeleteVariable`. Without a condition, a variable that does not exist is
/// [`Rejection::NoSuchVariable`]; a condition on its revision is a mismatch then.
pub(crate) fn delete(
    state: &State,
    name: &VariableName,
    condition: Condition,
) -> Result<(Answer, Vec<Event>), Rejection> {
    let current = state.variables.get(name).map(|variable| variable.revision);
    check(name, current, condition)?;
    if current.is_none() {
        return Err(Rejection::NoSuchVariable { name: name.clone() });
    }
    Ok((Answer::VariableDeleted, vec![Event::VariableDeleted { name: name.clone() }]))
}

fn check(name: &VariableName, current: Option<u64>, condition: Condition) -> Result<(), Rejection> {
    let holds = match condition {
        Condition::Any => true,
        Condition::Revision(revision) => current == Some(revision) || mutant!("if-revision-ignored"),
        Condition::Absent => current.is_none(),
    };
    if holds { Ok(()) } else { Err(Rejection::RevisionMismatch { name: name.clone(), current }) }
}
