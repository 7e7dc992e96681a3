//! Compares every answer with the state its index names: what is acknowledged is in the log where it says.
//!
//! Linear in the history, so it is done in every run.

use std::collections::BTreeMap;

use capstan_model::{ids::VariableName, state::State, variables::Variable};

use super::{Call, Operation, Outcome};
use crate::oracle::Oracle;

/// Checks a history against the published states, and against the state at the end.
pub fn check(history: &[Operation], oracle: &Oracle, end: &State) {
    for operation in history {
        if let Some(state) = oracle.state_at(operation.index)
            && let Err(found) = agrees(operation, &state)
        {
            oracle.violated("an answer shows the state at its index", found);
        }
    }
    if let Err(found) = time_orders_indexes(history) {
        oracle.violated("what was asked after an answer is at no earlier index", found);
    }
    for found in lost(history, end) {
        oracle.violated("acknowledged writes are there at the end", found);
    }
    for found in undone_but_there(history, oracle) {
        oracle.violated("what was said not to have happened has not", found);
    }
}

fn variable<'a>(state: &'a State, key: &str) -> Option<&'a Variable> {
    let name: VariableName = key.parse().expect("keys are legal names");
    state.variables.get(&name)
}

fn agrees(operation: &Operation, state: &State) -> Result<(), String> {
    let found = variable(state, &operation.key);
    let holds = match (&operation.call, &operation.outcome) {
        (Call::Get | Call::GetStale { .. }, Outcome::Absent) => found.is_none(),
        (Call::Get | Call::GetStale { .. }, Outcome::Found { value, revision }) => {
            found.is_some_and(|found| found.value == *value && found.revision == *revision)
        }
        // Others may have written after it in the same batch.
        (Call::Put { value, .. }, Outcome::Put { revision, .. }) => {
            state.variables.revision() >= *revision
                && found.is_none_or(|found| found.revision != *revision || found.value == *value)
        }
        _ => true,
    };
    if holds { Ok(()) } else { Err(format!("index {} has {found:?}: {operation:?}", state.index())) }
}

/// A call made after an answer came sees at least that answer's index; a write gets a later one.
fn time_orders_indexes(history: &[Operation]) -> Result<(), String> {
    let answered = |operation: &&Operation| {
        operation.index > 0 && !matches!(operation.outcome, Outcome::NotDone | Outcome::Unknown)
    };
    let mut returns: Vec<&Operation> = history.iter().filter(answered).collect();
    returns.sort_by_key(|operation| operation.returned_us);
    let mut invokes = returns.clone();
    invokes.sort_by_key(|operation| operation.invoked_us);
    let mut returns = returns.into_iter().peekable();
    let mut newest = 0;
    for operation in invokes {
        while let Some(returned) = returns.next_if(|returned| returned.returned_us < operation.invoked_us) {
            newest = newest.max(returned.index);
        }
        let least = match operation.call {
            Call::GetStale { at_least } => at_least,
            Call::Get | Call::Put { .. } | Call::Delete => newest,
        };
        if operation.index < least {
            return Err(format!("index {least} had been answered before: {operation:?}"));
        }
    }
    Ok(())
}

/// Acknowledged writes that are neither in the final state nor overwritten or removed by something that could have been.
fn lost(history: &[Operation], end: &State) -> Vec<String> {
    let mut newest: BTreeMap<&str, (u64, &Operation)> = BTreeMap::new();
    for operation in history {
        if let Outcome::Put { revision, .. } = operation.outcome {
            let known = newest.entry(&operation.key).or_insert((revision, operation));
            if revision > known.0 {
                *known = (revision, operation);
            }
        }
    }
    let mut lost = Vec::new();
    for (key, (revision, put)) in newest {
        let is_kept = match variable(end, key) {
            Some(variable) => variable.revision >= revision,
            None => history.iter().any(|other| {
                other.key == key
                    && other.call == Call::Delete
                    && other.returned_us > put.invoked_us
                    && matches!(other.outcome, Outcome::Deleted | Outcome::Unknown)
            }),
        };
        if !is_kept {
            lost.push(format!("the end has {:?}: {put:?}", variable(end, key)));
        }
    }
    lost
}

/// Values that are in the log although their writer was told that nothing happened.
fn undone_but_there(history: &[Operation], oracle: &Oracle) -> Vec<String> {
    let is_there = |operation: &&Operation| match (&operation.call, &operation.outcome) {
        (Call::Put { value, .. }, Outcome::NotDone | Outcome::Mismatch) => oracle.was_put(value),
        _ => false,
    };
    history.iter().filter(is_there).map(|operation| format!("it is in the log: {operation:?}")).collect()
}
