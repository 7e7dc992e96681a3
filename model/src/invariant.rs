//! What holds of every State, whatever was applied: for unit, property and simulation tests.
//!
//! Slow on purpose: everything is counted again, and every row encoded again.

use crate::{
    lrp,
    rows::{RowChange, RowSink},
    spec_store,
    state::State,
    task, workflow,
};

/// An invariant that does not hold, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{invariant}: {found}")]
pub struct Violation {
    /// What should hold.
    pub invariant: &'static str,
    /// What was found.
    pub found: String,
}

/// Checks all of them.
///
/// # Errors
/// The first that does not hold.
pub fn check(state: &State) -> Result<(), Violation> {
    check_sessions(state)?;
    check_variables(state)?;
    require(state.idempotency.index_matches(), "the time index holds exactly the idempotency keys", || {
        format!("{} keys", state.idempotency.len())
    })?;
    workflow::check(&state.requests, &state.nodes)
        .map_err(|found| violation("live requests agree with their chains, indexes and owners", found))?;
    spec_store::check(state)
        .map_err(|found| violation("versions of specs agree with their texts and their requests", found))?;
    task::check(&state.tasks).map_err(|found| violation("tasks agree with their indexes", found))?;
    lrp::check(state)
        .map_err(|found| violation("records of LRPs agree with what is desired, indexes and cells", found))?;
    check_checksum(state)
}

fn check_sessions(state: &State) -> Result<(), Violation> {
    for session in state.sessions.iter() {
        let incarnation = session.incarnation();
        let newest = state.nodes.get(&incarnation.node).map(|node| node.incarnation);
        require(newest == Some(incarnation), "a session belongs to its node's newest life", || {
            format!("session {incarnation}, node {newest:?}")
        })?;
        let lost = state.nodes.get(&incarnation.node).is_some_and(|node| node.lost);
        require(!lost, "a lost life has no session", || format!("session {incarnation}"))?;
        let window = session.window();
        let outside = session.replies().into_keys().find(|seq| !window.contains(seq));
        require(outside.is_none(), "a session's replies lie in its window", || {
            format!("session {incarnation}, window {window:?}, reply {outside:?}")
        })?;
    }
    Ok(())
}

fn check_variables(state: &State) -> Result<(), Violation> {
    let mut revisions: Vec<u64> = state.variables.iter().map(|(_, variable)| variable.revision).collect();
    revisions.sort_unstable();
    let twice = revisions.windows(2).find(|pair| pair[0] == pair[1]);
    require(twice.is_none(), "no two variables have the same revision", || format!("{twice:?}"))?;
    let newest = revisions.last().copied().unwrap_or(0);
    require(newest <= state.variables.revision(), "the revision counter has reached every revision", || {
        format!("counter {}, revision {newest}", state.variables.revision())
    })
}

fn check_checksum(state: &State) -> Result<(), Violation> {
    let mut sink = RowSink::new(state.index());
    state.dump(&mut sink);
    let (changes, sum) = sink.finish();
    require(sum == state.checksum(), "the checksum is that of the live rows", || {
        format!("{:032x}, and {sum:032x} over {} rows", state.checksum(), changes.len())
    })?;
    let rows = changes.into_iter().filter_map(|change| match change {
        RowChange::Put { key, value } => Some((key, value)),
        RowChange::Delete { .. } => None,
    });
    let loaded =
        State::load(rows).map_err(|e| violation("the rows of a State can be loaded", e.to_string()))?;
    require(loaded == *state, "a State loaded from its rows equals it", || format!("index {}", state.index()))
}

fn require(holds: bool, invariant: &'static str, found: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(violation(invariant, found())) }
}

fn violation(invariant: &'static str, found: String) -> Violation {
    Violation { invariant, found }
}
