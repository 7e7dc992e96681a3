//! Compares every answer with the state its index names: what is acknowledged is in the log where it says.
//!
//! Linear in the history, so it is done in every run.

use std::collections::BTreeMap;

use capstan_model::{ids::VariableName, state::State, variables::Variable};

use super::{
    Call, Listed, Operation, Outcome,
    registers::{Execution, Registers},
};
use crate::oracle::Oracle;

/// Checks a history against the states of the log, the model of what was executed, and the state at the end.
pub(crate) fn check(history: &[Operation], oracle: &Oracle, end: &State) {
    for operation in history {
        if let Err(found) = shows_its_index(operation, oracle) {
            oracle.violated("an answer shows the state at its index", found);
        }
        if let Err(found) = oracle.with_registers(|registers| executed_as_told(operation, registers, end)) {
            oracle.violated("a write is executed as its client was told, and once", found);
        }
    }
    if let Err(found) = oracle.with_registers(|registers| time_orders_indexes(history, registers)) {
        oracle.violated("what was asked after an answer is at no earlier index", found);
    }
    for found in lost(history, end) {
        oracle.violated("acknowledged writes are there at the end", found);
    }
}

fn shows_its_index(operation: &Operation, oracle: &Oracle) -> Result<(), String> {
    match oracle.state_at(operation.index) {
        Some(state) => agrees(operation, &state),
        // Without an answer there is none.
        None if operation.index == 0 => Ok(()),
        None => Err(format!("nothing is committed at its index: {operation:?}")),
    }
}

/// What was told to have happened has, where it was told; what was told not to has not; and what nobody knows, not twice.
fn executed_as_told(operation: &Operation, registers: &Registers, end: &State) -> Result<(), String> {
    let Call::Put { value, .. } = &operation.call else { return Ok(()) };
    let executions = registers.executions(value);
    let done: Vec<&Execution> = executions.iter().filter(|execution| execution.done.is_some()).collect();
    // A key that is forgotten protects no longer.
    let window = end.settings.idempotency_window();
    let is_repeated = done.windows(2).any(|pair| pair[1].at.since(pair[0].at) < window);
    let holds = match &operation.outcome {
        Outcome::Put { revision, created } => {
            done.iter().any(|it| it.done == Some((*revision, *created)) && it.index <= operation.index)
        }
        Outcome::Mismatch => done.is_empty() && !executions.is_empty(),
        Outcome::NotDone | Outcome::KeyReused => done.is_empty(),
        _ => true,
    };
    if holds && !is_repeated { Ok(()) } else { Err(format!("{executions:?}: {operation:?}")) }
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
        (Call::List, Outcome::Listed(list)) => {
            let all = state.variables.iter().map(|(name, variable)| Listed {
                key: name.as_str().to_owned(),
                revision: variable.revision,
                size: variable.value.len() as u64,
            });
            if all.eq(list.iter().cloned()) {
                return Ok(());
            }
            let variables = &state.variables;
            return Err(format!("index {} has {variables:?}: {operation:?}", state.index()));
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
fn time_orders_indexes(history: &[Operation], registers: &Registers) -> Result<(), String> {
    let answered = |operation: &&Operation| {
        operation.index > 0
            && !matches!(operation.outcome, Outcome::NotDone | Outcome::KeyReused | Outcome::Unknown)
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
            Call::Get | Call::List | Call::Put { .. } | Call::Delete => newest,
        };
        // The index of a write's answer is that of the state it was seen in, which may be later than its own.
        let executed = match &operation.call {
            Call::Put { value, .. } => registers.executions(value).first().map(|first| first.index),
            _ => None,
        };
        if operation.index < least || executed.is_some_and(|executed| executed <= newest) {
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

#[cfg(test)]
mod tests {
    use capstan_model::time::Timestamp;

    use super::*;

    fn told(outcome: Outcome) -> Operation {
        Operation {
            client: 1,
            key: "k".into(),
            call: Call::Put { value: "v".into(), if_revision: None },
            invoked_us: 10,
            returned_us: 20,
            outcome,
            index: 5,
        }
    }

    fn executed(executions: &[(u64, Option<(u64, bool)>)]) -> Registers {
        let executions =
            executions.iter().map(|(index, done)| Execution { index: *index, at: Timestamp(1), done: *done });
        Registers::with_executions("v".into(), executions.collect())
    }

    #[test]
    fn a_write_happens_as_it_was_told_and_once() {
        let (put, put_later) = (Some((7, true)), Some((8, false)));
        let holds = |outcome: Outcome, executions: &[(u64, Option<(u64, bool)>)]| {
            executed_as_told(&told(outcome), &executed(executions), &State::default()).is_ok()
        };
        let done = || Outcome::Put { revision: 7, created: true };
        assert!(holds(done(), &[(5, put)]));
        assert!(!holds(done(), &[]), "it was acknowledged");
        assert!(!holds(done(), &[(5, put_later)]), "under another revision");
        assert!(!holds(done(), &[(6, put)]), "later than told");
        assert!(!holds(done(), &[(4, put), (5, put_later)]), "twice");
        assert!(holds(Outcome::Unknown, &[(9, put)]) && holds(Outcome::Unknown, &[]));
        assert!(!holds(Outcome::Unknown, &[(4, put), (9, put_later)]), "twice, although nobody knew of once");
        for outcome in [Outcome::NotDone, Outcome::KeyReused, Outcome::Mismatch] {
            assert!(!holds(outcome.clone(), &[(5, put)]), "{outcome:?}");
        }
        assert!(holds(Outcome::Mismatch, &[(5, None)]) && holds(Outcome::NotDone, &[]));
    }

    #[test]
    fn a_write_is_executed_after_what_was_answered_before_it_was_asked_for() {
        let read = Operation {
            call: Call::Get,
            invoked_us: 1,
            returned_us: 5,
            outcome: Outcome::Absent,
            index: 4,
            ..told(Outcome::Unknown)
        };
        let write = told(Outcome::Put { revision: 7, created: true });
        let history = [read, write];
        assert!(time_orders_indexes(&history, &executed(&[(5, Some((7, true)))])).is_ok());
        assert!(time_orders_indexes(&history, &executed(&[(4, Some((7, true)))])).is_err());
    }
}
